"""A real browser for the tests of the page: Debian's chromium, driven by selenium; one for a whole session."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

Found = TypeVar("Found")

DESKTOP, PHONE = (1280, 860), (390, 844)


def why_not() -> str:
    """Why no browser can be driven here; "" when one can."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed: pip install selenium"
    for name in ("chromium", "chromedriver"):
        if shutil.which(name) is None:
            return f"{name} is not installed: apt-get install chromium chromium-driver"
    return ""


@contextmanager
def browser(folder: Path, *arguments: str) -> Iterator[Any]:
    """Chromium without a window, with a profile and a place for downloads of its own under `folder`."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for one in (
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
        *("--autoplay-policy=no-user-gesture-required", "--mute-audio", "--hide-scrollbars"),
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={DESKTOP[0]},{DESKTOP[1]}",
        *arguments,
    ):
        options.add_argument(one)
    downloads = {"download.default_directory": str(folder / "downloads"), "download.prompt_for_download": False}
    options.add_experimental_option("prefs", downloads)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Named, so that selenium never looks for a driver elsewhere.
    service = Service(executable_path=str(shutil.which("chromedriver")))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(30)
        driver.set_script_timeout(20)
        yield driver
    finally:
        driver.quit()


def size(driver: Any, width: int, height: int, *, touch: bool = False) -> None:
    """What the page sees as its window, also narrower than the browser's own can be."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": touch})


def scheme(driver: Any, name: str) -> None:
    """Have the system prefer "light" or "dark" colours."""
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]}
    )


def until(driver: Any, found: Callable[[], Found], what: str, *, seconds: float = 10.0) -> Found:
    """What `found` gives once that is true; fails with `what` was waited for."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    try:
        return WebDriverWait(driver, seconds, poll_frequency=0.03).until(lambda _: found())
    except TimeoutException:
        said = driver.execute_script("return document.body.innerText.slice(0, 800)")
        raise AssertionError(f"waited {seconds} s for {what}; the page says:\n{said}") from None
