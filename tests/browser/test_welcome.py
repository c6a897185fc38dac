"""The first minute in a real browser: it moves by itself, and once closed it stays closed."""

from playwright.sync_api import Page, expect

from tests.browser.reading import until

VALLEY = "A step in a valley"


def shown_step(page: Page) -> str:
    return page.locator(".samedge-scrub-row output").inner_text()


def until_it_moves(page: Page, of: str) -> None:
    """Until three steps of a path of so many have been seen: a busy machine may skip any one."""
    seen = set()

    def moves() -> bool:
        step = shown_step(page)
        if step.endswith(of):
            seen.add(step)
        return len(seen) > 2

    until(page, moves, f"three steps {of}")


def test_it_moves_without_a_click_answers_to_its_slider_and_closes_for_good(open_page):
    page = open_page("", first=True, moving=True)
    page.locator(f'[aria-label="{VALLEY}"]').wait_for()
    until_it_moves(page, "of 5")
    expect(page.get_by_text("10 % longer than the one before")).to_be_visible()
    box = page.get_by_label("η, the step size, exact")
    box.fill("0.36")
    box.press("Enter")
    expect(page.get_by_text("20 % shorter than the one before")).to_be_visible()
    until_it_moves(page, "of 18")
    page.get_by_role("button", name="Hold the steps").click()
    held = shown_step(page)
    page.wait_for_timeout(900)
    assert shown_step(page) == held
    page.get_by_role("button", name="Close").click()
    figure = page.locator(f'[aria-label="{VALLEY}"]')
    expect(figure).to_have_count(0)
    for again in (page, page.context.new_page()):
        again.goto(page.url)
        again.locator('[role=figure][aria-label="Alignment"]').wait_for()
        assert again.locator(f'[aria-label="{VALLEY}"]').count() == 0
    again.close()


def test_who_wants_less_motion_sees_the_whole_path_and_plays_it_by_hand(open_page):
    page = open_page("", first=True)
    expect(page.get_by_text("step 5 of 5", exact=True)).to_be_visible()
    page.wait_for_timeout(1500)
    assert shown_step(page) == "step 5 of 5"
    page.get_by_role("button", name="Play the steps").click()
    until_it_moves(page, "of 5")


def test_a_link_shows_its_setting_and_no_valley(open_page):
    page = open_page("?preset=gd-cnn", first=True)
    page.locator('[role=figure][aria-label="Alignment"]').wait_for()
    assert page.locator(f'[aria-label="{VALLEY}"]').count() == 0
