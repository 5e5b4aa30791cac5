"""What ranking models cost: dense layers, interactions, embedding look-ups and their updates."""
