"""Every word of ours on every page can be translated: in the pseudo-language it is in brackets.

The pseudo-language is laid out from right to left, like Arabic; axe finds nothing in it, either.
"""

import re
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page

from entrenous.base.language import PSEUDO_LANGUAGE
from tests.app.page_walker import walked
from tests.app.presentations import faults_of
from tests.app.states import STATES, Words, a_world, all_states
from tests.house.brackets import kept_names, names_of_facts, outside

#: Visible texts and names of things, a paragraph each; what says that it is in another language,
#: such as a letter, and what is typed or printed as it is, such as a code, are left out.
_TEXTS: Final = """() => {
  const apart = "[lang]:not(html), code, pre, textarea, script, style, noscript, .number, .words";
  const found = new Map();
  const words = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    let block = words.currentNode.parentElement;
    if (block.closest(apart) || (block.closest("body") && !block.checkVisibility())) continue;
    while (getComputedStyle(block).display.startsWith("inline") && block.parentElement)
      block = block.parentElement;
    found.set(block, (found.get(block) || "") + words.currentNode.data);
  }
  const names = [...document.querySelectorAll("[aria-label], [alt], [title], [placeholder]")]
    .filter(one => !one.closest(apart))
    .flatMap(one => [one.ariaLabel, one.alt, one.title, one.placeholder]);
  return [...found.values(), ...names.filter(Boolean)];
}"""
#: States whose text is a lesson: lessons have files of their own in each language.
_LESSONS: Final = frozenset({"lessons", "lesson", "lesson-answered"})

#: Names of ours: the program, and what a file or a key is called in every language.
PROGRAM: Final = ("Entrenous", "JPEG", "Page", "device 1")  # Page: the quiet title; a device's name


def words_outside(page: Page, kept: re.Pattern[str]) -> list[str]:
    """Return the texts of a page that have words outside of brackets."""
    texts: list[str] = page.evaluate(_TEXTS)
    return [text.strip() for text in texts if outside(text, kept)]


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_word_of_ours_is_in_brackets_from_right_to_left(
    browser: Browser, tmp_path: Path
) -> None:
    words = Words()
    kept = kept_names((*names_of_facts(), f"{words.file}.jpg", *astuple(words), *PROGRAM))
    faults, seen = list[str](), 0
    with a_world(browser, tmp_path, language=PSEUDO_LANGUAGE) as world:
        page = world.ana.page
        for state, _ in walked(all_states(world), world.ana):
            seen += 1
            if state not in _LESSONS:
                faults += [f"{state}: {text}" for text in words_outside(page, kept)]
            direction = page.evaluate("() => getComputedStyle(document.body).direction")
            faults += [f"{state}: {direction}"] if direction != "rtl" else []
            faults += [f"{state}, axe: {fault}" for fault in faults_of(page)]
    assert not faults, "\n".join(faults)
    assert seen == len(STATES)
    sys.stdout.write(f"{seen} page states from right to left: every word in brackets, axe 0\n")
