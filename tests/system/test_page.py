"""The page at /ui of the stack that `make run` starts: a real decision of the bundled classifier, in a real browser."""

from tests.chromium import open_tab

from .conftest import DEEPSEEK, LLAMA, Stack

PROOF = "Prove that the square root of 2 is irrational. Show each step."


async def test_a_prompt_typed_into_the_page_is_judged_by_the_bundled_classifier(
    onnx_stack: Stack, chromium: str
) -> None:
    async with open_tab(chromium) as page:
        await page.open(f"{onnx_stack.url}/ui")
        await page.until("document.activeElement.id === 'prompt'")

        await page.type(PROOF)
        await page.press("Enter")
        await page.until("!document.getElementById('result').hidden && document.querySelector('#upstreams table')")

        assert await page.text("#verdict .target") == DEEPSEEK
        assert await page.evaluate("document.querySelectorAll('.bars tr').length") == 2
        assert "reasoning_classifier version 3" in await page.text("#details")
        assert " seen of " in await page.text("#details")
        assert f"{LLAMA}\tup" in await page.text("#upstreams")
        assert page.complaints == []
