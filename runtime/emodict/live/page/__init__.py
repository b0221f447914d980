"""The live page: what a run sees and says, in the browsers of a desk and a phone."""

from emodict.live.page.address import DEFAULT_PORT, PageAddress, page_address
from emodict.live.page.listener import PageListener

__all__ = ["DEFAULT_PORT", "PageAddress", "PageListener", "page_address"]
