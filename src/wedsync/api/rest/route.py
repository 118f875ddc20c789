"""Requests with the same method, path and headers that matter: what is the same for all of them."""

from collections.abc import Callable
from dataclasses import dataclass

from wedsync.api.rest.headers import Headers
from wedsync.api.rest.media import media_type
from wedsync.api.rest.payload import Content, arguments_of, rows_of
from wedsync.api.rest.query import QueryLimits, Shape, shape_of
from wedsync.api.rest.request import WITH_BODY, Action, Profile, Target, profile_of, target_of
from wedsync.database.catalogue import Catalogue

Setting = tuple[str, bytes]
_NAMES_COLUMNS = frozenset({"POST", "PATCH"})


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """Where a request goes. Compared by identity, which is quick."""

    method: str
    target: Target
    profile: Profile
    headers: Headers
    """Of the first request that came this way: what plans depend on is the same for all."""
    content_type: str
    search_path: Setting
    method_setting: Setting
    path_setting: Setting
    may_see_plans: bool

    def shape(self, query: bytes, headers: Headers, limits: QueryLimits) -> Shape:
        """The query string without its values. Raises `RestError`."""
        return shape_of(
            query,
            header_range=headers.range if self.method == "GET" else None,
            arguments=self.target.function is not None and self.method != "POST",
            limits=limits,
        )

    def content(self, body: bytes, shape: Shape) -> Content | None:
        """The body, read. Raises `RestError`."""
        if self.method not in WITH_BODY:
            return None
        read: Callable[..., Content] = arguments_of if self.target.action is Action.CALL else rows_of
        named = self.method in _NAMES_COLUMNS and "columns=" in shape.key
        return read(body, self.content_type, columns_named=named)


def new_route(method: str, path: str, headers: Headers, catalogue: Catalogue, *, may_see_plans: bool) -> Route:
    """The way of a request. Raises `RestError` for what leads nowhere."""
    profile = profile_of(method, headers, catalogue)
    schemas = dict.fromkeys((profile.schema, *catalogue.extra_search_path))
    quoted = ('"' + name.replace('"', '""') + '"' for name in schemas)
    return Route(
        method=method,
        target=target_of(method, path),
        profile=profile,
        headers=headers,
        content_type=media_type(headers.content_type.decode("latin-1")).name,
        search_path=("search_path", ", ".join(quoted).encode()),
        method_setting=("request.method", method.encode()),
        path_setting=("request.path", path.encode()),
        may_see_plans=may_see_plans,
    )
