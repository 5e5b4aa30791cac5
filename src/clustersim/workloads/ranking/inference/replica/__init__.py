"""One replica: its queue, its workers, and how a batch goes through one."""
