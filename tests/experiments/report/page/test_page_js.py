"""`page.js` in a browser: sorting, hidden variants and the keyboard; small and dark screens."""

import pytest

from tests.experiments.report.page.test_study import HOSTILE, hostile


def test_in_a_browser_the_page_sorts_hides_variants_and_fetches_nothing(swept, browser):
    rows, text = hostile(swept)
    swept.page.write_text(text, encoding="utf-8")
    found = browser.visit(
        swept.page,
        """
        const all = (selector) => [...document.querySelectorAll(selector)];
        const texts = (selector) => all(selector).map((element) => element.innerText);
        const points = () => all("figure").map((f) =>
           f.querySelectorAll('[aria-roledescription="point"]').length);
        const column = texts("#rows-0 th").findIndex((title) => title.includes("inference"));
        const cells = () => texts(`#rows-0 tbody td:nth-child(${column + 1})`);
        const answer = { title: document.querySelector("h1").innerText, points: points() };
        const head = document.querySelectorAll("#rows-0 th")[column];
        answer.unsorted = cells();
        head.click(); await settled();
        answer.ascending = cells();
        const key = { key: "Enter", keyCode: 13, which: 13, bubbles: true };
        const kinds = ["keydown", "keypress"];
        for (const kind of kinds) head.dispatchEvent(new KeyboardEvent(kind, key));
        await settled();
        answer.descending = cells();
        const filter = document.querySelector("select[data-table=rows-0]");
        filter.value = "100"; filter.dispatchEvent(new Event("change")); await settled();
        answer.filtered = cells().length;
        filter.value = ""; filter.dispatchEvent(new Event("change")); await settled();
        document.querySelector(".variants input").click(); await settled();
        answer.hidden = { rows: cells().length, points: points() };
        answer.unchecked = document.querySelectorAll(".variants input:not(:checked)").length;
        document.querySelector("input[value=linear]").click(); await settled();
        answer.linear = points();
        const point = document.querySelector('figure [aria-roledescription="point"]');
        const box = point.getBoundingClientRect();
        const where = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
        for (const kind of ["pointerover", "pointermove"]) {
          point.dispatchEvent(new PointerEvent(kind, { ...where, bubbles: true }));
        }
        await settled();
        answer.tooltip = document.querySelector("#vg-tooltip-element")?.innerText ?? "";
        answer.hacked = window.hacked ?? "no";
        return answer;
        """,
    )
    assert found.complaints == []
    outside = [url for url in found.fetched if not url.startswith(("blob:", "data:"))]
    assert outside == [swept.page.as_uri()]
    answer = found.answer
    assert answer["title"] == HOSTILE
    own = len(rows) // 2
    learning = 2 * 3  # of the hostile plan's variants only "average" has runs
    assert answer["points"] == [own, own, own, learning // 2]
    assert answer["ascending"] == sorted(answer["unsorted"])
    assert answer["descending"] == answer["ascending"][::-1] != answer["ascending"]
    assert answer["filtered"] == own // 2
    assert answer["hidden"] == {"rows": own - 2, "points": [own - 2] * 3 + [learning // 2]}
    assert answer["unchecked"] == 4
    assert answer["linear"] == answer["hidden"]["points"]
    assert "test accuracy" in answer["tooltip"]
    assert answer["hacked"] == "no"


def test_in_a_browser_the_arrow_keys_go_from_point_to_point(summarised, browser):
    found = browser.visit(
        summarised.page,
        """
        const figure = document.querySelector("figure");
        const chart = figure.querySelector(".chart");
        const current = () => figure.querySelectorAll(".current");
        const tooltip = () => document.querySelector("#vg-tooltip-element.visible");
        const answer = { stops: 0, said: [] };
        figure.querySelector("input:checked").focus();
        while (document.activeElement !== chart && answer.stops++ < 9) await press("Tab");
        answer.outline = getComputedStyle(chart).outlineStyle;
        const keys = ["ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowUp"];
        for (const key of keys) {
          await press(key);
          answer.said.push(figure.querySelector("output").textContent);
        }
        answer.shown = [current().length, tooltip().textContent];
        await press("Escape");
        answer.left = [current().length, tooltip(), document.activeElement === chart];
        figure.closest("section").querySelector(".variants input").click(); await settled();
        chart.focus();
        await press("ArrowRight");
        answer.toggled = figure.querySelector("output").textContent;
        await press("Tab");
        answer.inside = [chart.contains(document.activeElement), current().length];
        return answer;
        """,
    )
    assert found.complaints == []
    answer = found.answer
    assert answer["stops"] == 1
    assert answer["outline"] == "solid"
    assert [said.partition("; test")[0] for said in answer["said"]] == [
        f"variant: {variant}; at: dataset.train_limit = {size}"
        for variant, size in (
            ("max", 1000),
            ("max", 100),
            ("average", 1000),
            ("max", 100),
            ("strided", 1000),
        )
    ]
    assert answer["shown"][0] == 1
    assert answer["shown"][1].startswith("variantstridedatdataset.train_limit = 1000test accuracy")
    assert answer["left"] == [0, None, False]
    assert answer["toggled"].startswith("variant: average;")
    assert answer["inside"] == [True, 0]


@pytest.mark.parametrize("width", [400, 1000])
def test_in_a_dark_browser_nothing_is_wider_than_the_screen(summarised, browser, width):
    found = browser.visit(
        summarised.page,
        """
        const paper = getComputedStyle(document.body).backgroundColor;
        const facts = [...document.querySelectorAll(".card dd")].map((e) => e.clientWidth);
        const { scrollWidth, clientWidth } = document.documentElement;
        return [scrollWidth - clientWidth, Math.min(...facts) > 60, paper];
        """,
        width=width,
        dark=True,
    )
    assert found.complaints == []
    assert found.answer == [0, True, "rgb(23, 24, 26)"]
