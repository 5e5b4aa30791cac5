"""The catalogue's machinery: names, aliases, sources."""

import pytest

from clustersim import catalog
from clustersim.catalog._store import Source, normalised
from clustersim.errors import CatalogError


def test_names_are_found_in_any_case_and_by_alias():
    assert catalog.accelerator("A100_SXM4_80GB") is catalog.accelerator("a100")
    assert catalog.model("Meta-Llama/Llama-2-7B-hf") is catalog.model("llama-2-7b")
    assert normalised("Llama_2  70B") == "llama-2-70b"


@pytest.mark.parametrize(
    ("ask", "wrong", "right"),
    [
        (catalog.accelerator, "h100-smx", "h100-sxm"),
        (catalog.link, "infinband-hdr", "infiniband-hdr"),
        (catalog.node_type, "dgx-h10", "dgx-h100"),
        (catalog.model, "lama-2-7b", "llama-2-7b"),
        (catalog.lengths, "azure-conversion-2023", "azure-conversation-2023"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest_right_one(ask, wrong, right):
    with pytest.raises(CatalogError, match=f"'{wrong}'.*Did you mean '{right}'"):
        ask(wrong)


def test_kinds_are_taken_in_singular_and_plural():
    assert catalog.names("accelerator") == catalog.names("accelerators")
    assert "dgx-h100" in catalog.names("node type")
    assert catalog.names() == [name for kind in catalog.kinds() for name in catalog.names(kind)]
    with pytest.raises(CatalogError, match="Did you mean 'links'"):
        catalog.names("linkz")


@pytest.mark.parametrize("name", catalog.names())
def test_every_number_of_every_entry_is_shown_with_a_source(name):
    text = catalog.describe(name)
    assert "sources" in text
    for line in text.splitlines():
        words = line.split()
        is_field = line.startswith("  ") and not line.startswith("    ") and len(words) > 1
        if is_field and words[0] not in ("also", "sources") and any(c.isdigit() for c in words[1]):
            assert line.rstrip().endswith("]"), f"{name}: no source for '{line.strip()}'"


def test_no_name_lists_all_kinds_and_an_unknown_one_is_refused():
    text = catalog.describe()
    assert all(kind in text for kind in catalog.kinds())
    assert "h200-sxm-141gb" in text
    with pytest.raises(CatalogError, match=r"no entry 'dgx-h10'\. Did you mean"):
        catalog.describe("dgx-h10")


def test_a_source_says_how_its_number_was_got():
    for name in catalog.names("accelerators"):
        for source in catalog.accelerator(name).sources.values():
            assert isinstance(source, Source)
            assert source.how in ("seen", "memory", "assumed")
            assert len(source.text) > 10
