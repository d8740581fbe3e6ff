"""A person with a browser: follows links, keeps cookies, fills in forms."""

import http.cookiejar
import re
import urllib.parse
import urllib.request


class Browser:
    def __init__(self) -> None:
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies, urllib.request.ProxyHandler({}))
        self.url, self.page = "", ""

    def open(self, url: str) -> None:
        self._read(urllib.request.Request(url))

    def submit(self, **fields: str) -> None:
        """The form of the page, with its hidden fields as they are."""
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', self.page))
        body = urllib.parse.urlencode(hidden | fields).encode()
        self._read(urllib.request.Request(self.url, body, {"Referer": self.url}))

    def answer(self, url: str, name: str, password: str, code: str, *, action: str = "accept") -> str:
        """Logs in at the page that `modelog login` shows, enters the code and answers; what the last page says."""
        self.open(url)
        self.submit(username=name, password=password)
        self.submit(user_code=code)
        self.submit(action=action)
        return self.page

    def _read(self, request: urllib.request.Request) -> None:
        with self._opener.open(request, timeout=30) as reply:
            self.url, self.page = reply.url, reply.read().decode()
