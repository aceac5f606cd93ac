"""Lead an unmodified pywa bot here: pywa has no setting for the API's address, but takes an HTTP client of one's own.

::

    import httpx, pywa
    from adapters.business.pywa import transport

    bot = pywa.WhatsApp(..., session=httpx.Client(transport=transport("http://127.0.0.1:8445")))

httpx comes with pywa; Rialto itself does not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


def transport(base_url: str) -> httpx.BaseTransport:
    """Return a transport that sends what is meant for the Cloud API to ``base_url``, and everything else on its way."""
    import httpx

    base = httpx.URL(base_url)

    class Redirect(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.host in {"graph.facebook.com", "api.facebook.com"}:
                path = base.raw_path.rstrip(b"/") + request.url.raw_path
                request.url = base.copy_with(raw_path=path)
                request.headers["Host"] = base.netloc.decode()
            return super().handle_request(request)

    return Redirect()
