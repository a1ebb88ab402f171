from __future__ import annotations

import pytest

from ingot.recipe.spdx import expression


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("MIT", "MIT"),
        (" apache-2.0 ", "Apache-2.0"),
        ("GPL-2.0-only with classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("(mit or apache-2.0) and BSD-3-Clause", "(MIT OR Apache-2.0) AND BSD-3-Clause"),
        ("Apache-1.1+", "Apache-1.1+"),
        ("LicenseRef-Gemma", "LicenseRef-Gemma"),
        ("MIT OR LicenseRef-x", "MIT OR LicenseRef-x"),
    ],
)
def test_expressions_get_their_proper_spelling(text: str, spelled: str) -> None:
    assert expression(text) == spelled


@pytest.mark.parametrize(
    "text",
    [
        "",
        "llama3.1",
        "other",
        "MIT OR",
        "OR MIT",
        "MIT Apache-2.0",
        "(MIT",
        "MIT)",
        "()",
        "MIT WITH MIT OR",
        "MIT / Apache-2.0",
        "MIT WITH LicenseRef-x",
        "MIT OR " * 1000 + "MIT",
        "\x1b[31mMIT",
    ],
)
def test_other_texts_are_no_expressions(text: str) -> None:
    assert expression(text) is None
