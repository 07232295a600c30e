from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.entries import read_entries
from ingest.identity import MOST_KNOWN, FeedMemory
from tests.ingest.web_server import item, rss

MARCH = "Tue, 05 Mar 2024 09:30:00 GMT"
APRIL = "Fri, 05 Apr 2024 09:30:00 GMT"
ACME, BETA, GAMMA = "Acme cuts its forecast", "Beta bank halts its dividend", "Gamma grounds its fleet"


def fetched(memory: FeedMemory, *items: str, link: str = "https://desk.example.com/") -> dict[str, str]:
    """Title and text of the entries of a document by the ids of their messages, all acknowledged."""
    entries = read_entries(rss(*items, link=link))
    identified = memory.identify(entries)
    memory.remember(identified)
    found = {one.id: f"{one.entry.fields.get('title', '')}|{one.entry.fields.get('text', '')}" for one in identified}
    assert len(found) == len(entries)
    return found


def restarted(memory: FeedMemory) -> FeedMemory:
    return FeedMemory(memory.known())


def test_entries_that_share_an_id_or_a_link_are_each_their_own() -> None:
    for shared in (
        {"link": "https://desk.example.com"},
        {"link": "https://desk.example.com/all?utm_source=rss"},
        {"guid": "N/A"},
        {"guid": " "},
        {"guid": "https://desk.example.com/"},
        {"guid": "2024-03"},
        {"guid": "0"},
        {"guid": "5", "link": "https://desk.example.com/5"},
        {},
    ):
        found = fetched(FeedMemory(), *(item(title, date=MARCH, **shared) for title in (ACME, BETA, GAMMA)))
        assert sorted(found.values()) == [f"{ACME}|", f"{BETA}|", f"{GAMMA}|"], shared


def test_one_junk_guid_in_a_document_of_one_is_no_id() -> None:
    for junk in ("N/A", "null", "0", "1.24E+18", "https://desk.example.com", "https://desk.example.com/"):
        memory = FeedMemory()
        first = fetched(memory, item(ACME, junk, date=MARCH))
        assert first.keys().isdisjoint(fetched(memory, item(BETA, junk, date=APRIL))), junk


def test_entries_that_say_the_same_in_all_are_one_and_no_others() -> None:
    twice = item(ACME, "1", "https://e.com/1", MARCH, "Text")
    assert len(fetched(FeedMemory(), twice, twice)) == 1
    near = [
        item(ACME, "2", "https://e.com/1", MARCH, "Text"),
        item(ACME, "1", "https://e.com/2", MARCH, "Text"),
        item(ACME, "1", "https://e.com/1", APRIL, "Text"),
        item(ACME, "1", "https://e.com/1", MARCH, "Text more"),
        item(ACME, None, "https://e.com/1", MARCH, "Text"),
    ]
    assert len(fetched(FeedMemory(), twice, *near)) == 6
    bare = [item("Update", None, f"https://e.com/{n}") for n in range(3)]
    assert len(fetched(FeedMemory(), *bare)) == 3


def test_ids_that_differ_by_case_or_a_slash_are_different_ids() -> None:
    ids = ("abC", "abc", "https://e.com/a", "https://e.com/a/", "http://e.com/a")
    assert set(fetched(FeedMemory(), *(item(ACME, guid, date=MARCH) for guid in ids))) == set(ids)


def test_what_an_aggregator_gives_new_guids_and_links_is_one_message() -> None:
    def aggregated(number: int) -> list[str]:
        return [
            item(
                f"{title} - The Example",
                f"CBM{number}{title}",
                f"https://n.e.com/a/{number}{place}?oc={number}",
                MARCH,
                f'&lt;a href="https://n.e.com/{number}"&gt;{title}&lt;/a&gt; https://t.co/{number}',
            )
            for place, title in enumerate((ACME, BETA))
        ]

    memory = FeedMemory()
    first = fetched(memory, *aggregated(1))
    assert set(first) == {f"CBM1{ACME}", f"CBM1{BETA}"}
    assert fetched(memory, *aggregated(2)).keys() == first.keys()
    memory = restarted(memory)
    assert fetched(memory, *reversed(aggregated(3))).keys() == first.keys()
    rewritten = [one.replace("/a&gt;", "/a&gt; and 5 more") for one in aggregated(4)]
    assert fetched(memory, *rewritten, item(GAMMA, "CBM9", "https://n.e.com/9", MARCH)).keys() > first.keys()


def test_an_edited_text_under_its_guid_is_the_same_message() -> None:
    memory = FeedMemory()
    first = fetched(memory, item(ACME, "1", "https://e.com/1", MARCH, "Text"))
    edits = [
        item(ACME, "1", "https://e.com/1", MARCH, "Text, mended"),
        item(BETA, "1", "https://e.com/1", APRIL, "Text, mended"),
        item(BETA, "1", "https://e.com/moved", APRIL, "Rewritten"),
        item(BETA, "1", "", "", "Rewritten again"),
    ]
    for edit in edits:
        assert fetched(memory, edit).keys() == first.keys()
        memory = restarted(memory)


def test_a_guid_under_which_everything_else_changes_is_a_place_in_a_list() -> None:
    memory = FeedMemory()
    first = fetched(memory, item(ACME, "1", "https://e.com/a", MARCH), item(BETA, "2", "https://e.com/b", MARCH))
    second = fetched(memory, item(GAMMA, "1", "https://e.com/c", APRIL), item(ACME, "2", "https://e.com/a", MARCH))
    assert list(first.keys() & second.keys()) == [key for key, said in first.items() if ACME in said]
    assert len(first | second) == 3


def test_without_guids_the_link_knows_an_edit_but_not_the_next_item_at_its_place() -> None:
    memory = FeedMemory()
    first = fetched(memory, item(ACME, None, "https://e.com/a", MARCH, "Text"))
    assert fetched(memory, item(ACME, None, "https://e.com/a", MARCH, "Text, mended")).keys() == first.keys()
    assert fetched(memory, item(ACME, None, "https://e.com/a", APRIL, "Text, mended")).keys() == first.keys()
    assert fetched(memory, item(ACME, None, "https://e.com/a", MARCH, "Another week")).keys() != first.keys()


def test_dates_made_at_each_fetch_make_no_new_message_of_a_guid_or_a_link() -> None:
    for identity in ({"guid": "1"}, {"link": "https://e.com/a"}):
        memory = FeedMemory()
        first = fetched(memory, item(ACME, date=MARCH, **identity))
        assert fetched(memory, item(ACME, date=APRIL, **identity)).keys() == first.keys()


def test_what_is_said_twice_with_ids_of_its_own_is_two_messages() -> None:
    memory = FeedMemory()
    first = fetched(memory, item("Buy!", "1"), item("Buy!", "2"))
    assert len(first) == 2
    assert len(first | fetched(memory, item("Buy!", "2"), item("Buy!", "3"))) == 3


def test_a_guid_that_becomes_common_leaves_known_messages_what_they_are() -> None:
    memory = FeedMemory()
    first = fetched(memory, item(ACME, "x", "https://e.com/a", MARCH))
    second = fetched(memory, item(ACME, "x", "https://e.com/a", MARCH), item(BETA, "x", "https://e.com/b", MARCH))
    assert first.items() <= second.items()
    assert len(second) == 2
    assert fetched(memory, item(BETA, "x", "https://e.com/b", MARCH)).items() <= second.items()


def test_memory_is_bounded_and_forgets_what_is_listed_no_more() -> None:
    memory = FeedMemory()
    fetched(memory, item(ACME, "first"))
    for start in range(0, MOST_KNOWN + 1_000, 1_000):
        fetched(memory, item(ACME, "kept"), *(item(f"{BETA} {n}", str(n + 10)) for n in range(start, start + 1_000)))
    assert len(memory) == MOST_KNOWN
    ids = {known.id for known in memory.known()}
    assert "kept" in ids
    assert "first" not in ids


def test_hundreds_of_entries_that_say_the_same_are_matched_one_to_one() -> None:
    memory = FeedMemory()
    for date, link, guid in itertools.product(("", MARCH), ("", "https://e.com/{}"), (None, "g{}")):
        shapes = [
            item(ACME, guid and guid.format(n), link.format(n), date, f"&lt;i id='{n}'&gt;x&lt;/i&gt;")
            for n in range(300)
        ]
        first = fetched(memory, *shapes)
        assert fetched(memory, *reversed(shapes)).keys() == first.keys()
        memory = FeedMemory()


WORDS = st.sampled_from(["", "a", "b", "N/A", "https://desk.example.com/", "https://e.com/1"])
ITEMS = st.lists(
    st.builds(item, WORDS, st.none() | WORDS, WORDS, st.sampled_from(["", MARCH, APRIL]), WORDS), max_size=6
)


@settings(max_examples=150, deadline=None)
@given(ITEMS, ITEMS)
def test_any_documents_keep_their_entries_apart(one: list[str], other: list[str]) -> None:
    memory = FeedMemory()
    fetched(memory, *one)
    again = fetched(memory, *one)
    fetched(memory, *other)
    fetched(restarted(memory), *one)
    assert len(again) == len({entry.digest for entry in read_entries(rss(*one))})
