"""Reading through the data API: what comes back for a query."""

from urllib.parse import quote

import pytest

from support.rest_app import Call, Gate

ADA, CEM, EVA, GIL = "Ada & Bo", "Cem & Dia", "Eva & Flo", "Gil & Han"

COLUMNS = [
    Call("all columns", "GET /empty_table", []),
    Call(
        "one column",
        "GET /venues?select=name&order=id",
        [{"name": "Lakehouse"}, {"name": "Old Mill"}, {"name": "Barn"}],
    ),
    Call("alias", "GET /venues?select=title:name&id=eq.1", [{"title": "Lakehouse"}]),
    Call("cast", "GET /venues?select=id::text&id=eq.1", [{"id": "1"}]),
    Call(
        "alias and cast", "GET /venues?select=number:id::text,name&id=eq.2", [{"number": "2", "name": "Old Mill"}]
    ),
    Call("cast to a type of two words", "GET /venues?select=id::double%20precision&id=eq.2", [{"id": 2}]),
    Call("cast to an array", "GET /measures?select=numbers::_text&id=eq.1", [{"numbers": ["1", "2", "3"]}]),
    Call("cast to no type", "GET /venues?select=id::nonsense", ..., status=400),
    Call("blanks around", "GET /venues?select=%20id%20,%20name%20&id=eq.2", [{"id": 2, "name": "Old Mill"}]),
    Call("empty select is all columns", "GET /empty_table?select=", []),
    Call("no such column", "GET /venues?select=nothing", ..., status=400),
    Call("column with a blank", "GET /Odd%20Names?select=with%20space&Key=eq.1", [{"with space": "a b"}]),
    Call("column with a dash", "GET /Odd%20Names?select=with-dash&Key=eq.1", [{"with-dash": "a-b"}]),
    Call(
        "quoted column with a dot", "GET /Odd%20Names?select=%22dotted.name%22&Key=eq.1", [{"dotted.name": "a.b"}]
    ),
    Call("quoted column with a quote", "GET /Odd%20Names?select=%22quo%5C%22te%22&Key=eq.1", [{'quo"te': 'a"b'}]),
    Call(
        "quoted column with commas",
        "GET /Odd%20Names?select=%22comma,paren()%22&Key=eq.1",
        [{"comma,paren()": "a,(b)"}],
    ),
    Call("column with a dollar", "GET /Odd%20Names?select=$dollar&Key=eq.1", [{"$dollar": "$1"}]),
    Call("column in another script", "GET /Odd%20Names?select=%C3%BCn%C3%AFcode&Key=eq.1", [{"ünïcode": "größe"}]),
    Call(
        "columns called like parameters",
        "GET /Odd%20Names?select=order,select&Key=eq.1",
        [{"order": "first", "select": "x"}],
    ),
    Call("filter by a quoted column", "GET /Odd%20Names?select=Key&%22dotted.name%22=eq.e", [{"Key": 2}]),
    Call(
        "order by a quoted column",
        "GET /Odd%20Names?select=Key&order=%22dotted.name%22.desc",
        [{"Key": 2}, {"Key": 1}],
    ),
    Call("computed field", "GET /guests?select=full_name&id=eq.1", [{"full_name": "Mia Keller"}]),
    Call(
        "computed field is not in *",
        "GET /sites?select=*&wedding_id=eq.1",
        [{"wedding_id": 1, "slug": "ada-bo", "theme": {"font": "serif"}}],
    ),
    Call(
        "filter and order by a computed field",
        "GET /guests?select=id&full_name=like.*Keller&order=full_name.desc",
        [{"id": 2}, {"id": 1}],
    ),
    Call("alias of a computed field", "GET /guests?select=name:full_name&id=eq.5", [{"name": "Quinn O'Neil"}]),
    Call(
        "grammar of select",
        "GET /venues?select=id,name!",
        {"code": "PGRST100", "message": '"failed to parse select parameter (id,name!)" (line 1, column 8)'},
        status=400,
    ),
    Call("unclosed relation", "GET /weddings?select=id,venues(id", {"code": "PGRST100"}, status=400),
    Call("a closing parenthesis too many", "GET /venues?select=id)&id=eq.1", [{"id": 1}]),
]

JSON_PATHS = [
    Call("arrow", "GET /weddings?select=details->cake&id=eq.2", [{"cake": {"tiers": 1, "flavours": []}}]),
    Call("two arrows", "GET /weddings?select=details->cake->>tiers&id=eq.1", [{"tiers": "3"}]),
    Call("path with alias", "GET /weddings?select=storeys:details->cake->tiers&id=eq.1", [{"storeys": 3}]),
    Call("path with cast", "GET /weddings?select=details->cake->>tiers::int&id=eq.1", [{"tiers": 3}]),
    Call("index", "GET /weddings?select=details->cake->flavours->>0&id=eq.1", [{"flavours": "lemon"}]),
    Call(
        "index from the end",
        "GET /weddings?select=last:details->cake->flavours->>-1&id=eq.1",
        [{"last": "almond"}],
    ),
    Call(
        "element of an array column",
        "GET /measures?select=a:numbers->0,b:grid->1->>0&id=eq.1",
        [{"a": 1, "b": "3"}],
    ),
    Call("field of a composite column", "GET /venues?select=located->>zip&id=eq.1", [{"zip": "8001"}]),
    Call("path in a json column", "GET /sites?select=theme->>font&wedding_id=eq.1", [{"font": "serif"}]),
    Call("filter by a path", "GET /weddings?select=id&details->>colour=eq.sage", [{"id": 1}]),
    Call("filter by a path to a number", "GET /weddings?select=id&details->cake->tiers=gt.1", [{"id": 1}]),
    Call(
        "order by a path",
        "GET /weddings?select=id&order=details->>colour.asc.nullsfirst,id",
        [{"id": 3}, {"id": 4}, {"id": 2}, {"id": 1}],
    ),
    Call("path without a key", "GET /weddings?select=details->", {"code": "PGRST100"}, status=400),
]

FUNCTIONS_OF_ROWS = [
    Call(
        "not a function of the row",
        "GET /guests?select=num_nulls",
        {"code": "42703", "message": "column guests.num_nulls does not exist"},
        status=400,
    ),
    Call("not in order", "GET /guests?order=row_to_json", {"code": "42703"}, status=400),
    Call("not in filters", "GET /guests?to_json=is.null", {"code": "42703"}, status=400),
    Call("a column of the system", "GET /venues?select=tableoid&name=eq.Barn", ...),
    Call(
        "a near name",
        "GET /guests?select=frist_name",
        {"hint": 'Perhaps you meant to reference the column "guests.first_name".'},
        status=400,
    ),
    Call(
        "aliases like ours",
        "GET /venues?select=wedsync_rows:id,row:name,weddings(row:id)&id=eq.2",
        [{"wedsync_rows": 2, "row": "Old Mill", "weddings": [{"row": 2}]}],
    ),
]

FILTERS = [
    Call("eq", "GET /venues?select=id&name=eq.Barn", [{"id": 3}]),
    Call("neq", "GET /venues?select=id&id=neq.1&order=id", [{"id": 2}, {"id": 3}]),
    Call("gt and lte", "GET /venues?select=id&capacity=gt.60&capacity=lte.120", [{"id": 1}]),
    Call("gte and lt", "GET /venues?select=id&capacity=gte.60&capacity=lt.120", [{"id": 2}]),
    Call("not", "GET /venues?select=id&id=not.eq.1&order=id.desc", [{"id": 3}, {"id": 2}]),
    Call("like", "GET /guests?select=id&last_name=like.K*r&order=id", [{"id": 1}, {"id": 2}]),
    Call("like takes % too", "GET /guests?select=id&last_name=like.K%25r&order=id", [{"id": 1}, {"id": 2}]),
    Call("ilike", "GET /guests?select=id&first_name=ilike.p*", [{"id": 4}]),
    Call("like any", "GET /guests?select=id&first_name=like(any).%7BM*,P*%7D&order=id", [{"id": 1}, {"id": 4}]),
    Call("like all", "GET /guests?select=id&first_name=like(all).%7B*a*,*i*%7D&order=id", [{"id": 1}]),
    Call("eq any", "GET /guests?select=id&id=eq(any).%7B1,6%7D&order=id", [{"id": 1}, {"id": 6}]),
    Call("encoded quantifier", "GET /guests?select=id&id=eq%28any%29.%7B1,6%7D&order=id", [{"id": 1}, {"id": 6}]),
    Call("gt all", "GET /guests?select=id&id=gt(all).%7B1,4%7D&order=id", [{"id": 5}, {"id": 6}]),
    Call("match", "GET /guests?select=id&first_name=match.%5E%5BMN%5D&order=id", [{"id": 1}, {"id": 2}]),
    Call("imatch", "GET /guests?select=id&first_name=imatch.%5Er", [{"id": 6}]),
    Call("in", "GET /guests?select=id&id=in.(1,3,99)&order=id", [{"id": 1}, {"id": 3}]),
    Call("in, encoded", "GET /guests?select=id&id=in.%281%2C3%29&order=id", [{"id": 1}, {"id": 3}]),
    Call("in with quotes", "GET /Odd%20Names?select=Key&%22comma,paren()%22=in.(%22a,(b)%22)", [{"Key": 1}]),
    Call(
        "in with a quote inside", "GET /Odd%20Names?select=Key&%22quo%5C%22te%22=in.(%22a%5C%22b%22)", [{"Key": 1}]
    ),
    Call("in nothing", "GET /guests?select=id&id=in.()", []),
    Call("not in nothing", "GET /venues?select=id&id=not.in.()&order=id", [{"id": 1}, {"id": 2}, {"id": 3}]),
    Call(
        "in without a list",
        "GET /guests?id=in.1,2",
        {"code": "PGRST100", "message": '"failed to parse filter (in.1,2)" (line 1, column 4)'},
        status=400,
    ),
    Call("is null", "GET /venues?select=id&city=is.null", [{"id": 3}]),
    Call("is not null", "GET /venues?select=id&city=not.is.null&order=id", [{"id": 1}, {"id": 2}]),
    Call("is not_null", "GET /venues?select=id&city=is.not_null&order=id", [{"id": 1}, {"id": 2}]),
    Call("is true", "GET /weddings?select=id&paid=is.true", [{"id": 1}]),
    Call("is in capitals", "GET /weddings?select=id&paid=is.TRUE", [{"id": 1}]),
    Call("is unknown", "GET /weddings?select=id&paid=is.unknown", [{"id": 3}]),
    Call("is something else", "GET /weddings?paid=is.maybe", {"code": "PGRST100"}, status=400),
    Call("isdistinct", "GET /venues?select=id&city=isdistinct.Bern&order=id", [{"id": 1}, {"id": 3}]),
    Call("enum", "GET /guests?select=id&diet=eq.vegan&order=id", [{"id": 1}, {"id": 5}]),
    Call("not a value of the enum", "GET /guests?diet=eq.keto", {"code": "22P02"}, status=400),
    Call("enum in", "GET /guests?select=id&diet=in.(halal,none)&order=id", [{"id": 3}, {"id": 6}]),
    Call(
        "array contains",
        "GET /suppliers?select=id&languages=cs.%7Bde%7D&order=id",
        [{"id": 1}, {"id": 2}, {"id": 3}],
    ),
    Call(
        "array is contained",
        "GET /suppliers?select=id&languages=cd.%7Bde,fr%7D&order=id",
        [{"id": 1}, {"id": 2}, {"id": 4}, {"id": 5}],
    ),
    Call(
        "array overlaps",
        "GET /suppliers?select=id&languages=ov.%7Bfr,en%7D&order=id",
        [{"id": 1}, {"id": 3}, {"id": 5}],
    ),
    Call("range contains", "GET /measures?select=id&span=cs.%5B2,5)", [{"id": 1}]),
    Call("range left of", "GET /measures?select=id&span=sl.%5B10,12)", [{"id": 1}]),
    Call("range right of", "GET /measures?select=id&span=sr.%5B10,12)", [{"id": 2}]),
    Call("range not to the right", "GET /measures?select=id&span=nxr.%5B5,15)", [{"id": 1}]),
    Call("range not to the left", "GET /measures?select=id&span=nxl.%5B15,25)", [{"id": 2}]),
    Call("range adjacent", "GET /measures?select=id&span=adj.%5B10,20)&order=id", [{"id": 1}, {"id": 2}]),
    Call("range overlaps", "GET /measures?select=id&span=ov.%5B9,21)&order=id", [{"id": 1}, {"id": 2}]),
    Call("json contains", "GET /weddings?select=id&details=cs.%7B%22colour%22:%22rust%22%7D", [{"id": 2}]),
    Call("full text", "GET /articles?select=id&words=fts.band", [{"id": 1}]),
    Call("full text in a language", "GET /articles?select=id&words=fts(english).seating", [{"id": 2}]),
    Call("full text, plain", "GET /articles?select=id&words=plfts.impossible+cake", [{"id": 3}]),
    Call("full text, phrase", "GET /articles?select=id&words=phfts.cake+impossible", []),
    Call(
        "full text, as on the web",
        "GET /articles?select=id&words=wfts.band+or+cake&order=id",
        [{"id": 1}, {"id": 3}],
    ),
    Call("full text of a text column", "GET /articles?select=id&title=fts(english).bands", [{"id": 1}]),
    Call("full text of a json column", "GET /articles?select=id&body=fts(english).cake", [{"id": 3}]),
    Call("full text of a computed field", "GET /articles?select=id&words_of=fts.cake", [{"id": 3}]),
    Call("not full text", "GET /articles?select=id&words=not.fts.cake&order=id", [{"id": 1}, {"id": 2}]),
    Call(
        "no such operator",
        "GET /venues?id=equals.1",
        {"code": "PGRST100", "message": '"failed to parse filter (equals.1)" (line 1, column 3)'},
        status=400,
    ),
    Call(
        "no operator",
        "GET /venues?id=1",
        {"code": "PGRST100", "message": '"failed to parse filter (1)" (line 1, column 1)'},
        status=400,
    ),
    Call("no such column", "GET /venues?nothing=eq.1", {"code": "42703"}, status=400),
    Call("wrong type", "GET /venues?id=eq.one", {"code": "22P02"}, status=400),
    Call("empty value", "GET /venues?select=id&name=eq.", []),
    Call("plus is a blank", "GET /venues?select=id&name=eq.Old+Mill", [{"id": 2}]),
    Call("value with dots", "GET /suppliers?select=id&rating=eq.4.8", [{"id": 1}]),
    Call(
        "value in another script", "GET /Odd%20Names?select=Key&%C3%BCn%C3%AFcode=eq.gr%C3%B6%C3%9Fe", [{"Key": 1}]
    ),
    Call("zero byte", "GET /venues?name=eq.a%00b", {"code": "22021"}, status=400),
    Call("not UTF-8", "GET /venues?name=eq.%ff", {"code": "PGRST100"}, status=400),
    Call(
        "SQL is a value",
        "GET /Odd%20Names?select=Key&%22quo%5C%22te%22=eq.%27%3B+drop+table+guests%3B+--",
        [{"Key": 2}],
    ),
]

LOGIC = [
    Call("or", "GET /guests?select=id&or=(id.eq.1,first_name.eq.Rosa)&order=id", [{"id": 1}, {"id": 6}]),
    Call(
        "and inside or",
        "GET /guests?select=id&or=(id.eq.1,and(coming.is.true,wedding_id.eq.2))&order=id",
        [{"id": 1}, {"id": 5}],
    ),
    Call("not and", "GET /guests?select=id&not.and=(id.gt.1,id.lt.6)&order=id", [{"id": 1}, {"id": 6}]),
    Call("not inside", "GET /guests?select=id&and=(id.lte.3,not.or(id.eq.1,id.eq.2))", [{"id": 3}]),
    Call(
        "negated operator inside",
        "GET /guests?select=id&or=(id.not.lte.5,coming.is.null)&order=id",
        [{"id": 4}, {"id": 6}],
    ),
    Call(
        "in inside",
        "GET /guests?select=id&or=(id.in.(1,2),last_name.in.(%22Lang%22,Meier))&order=id",
        [{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}],
    ),
    Call(
        "quoted value inside",
        "GET /Odd%20Names?select=Key&or=(%22comma,paren()%22.eq.%22a,(b)%22,Key.eq.9)",
        [{"Key": 1}],
    ),
    Call(
        "array inside",
        "GET /suppliers?select=id&or=(languages.cs.%7Bfr,de%7D,id.eq.4)&order=id",
        [{"id": 1}, {"id": 4}],
    ),
    Call(
        "any inside",
        "GET /guests?select=id&or=(id.eq(any).%7B1,2%7D,id.eq.6)&order=id",
        [{"id": 1}, {"id": 2}, {"id": 6}],
    ),
    Call(
        "full text inside",
        "GET /articles?select=id&or=(words.fts(english).band,id.eq.3)&order=id",
        [{"id": 1}, {"id": 3}],
    ),
    Call(
        "path inside",
        "GET /weddings?select=id&or=(details->>colour.eq.sage,details->cake->>tiers.eq.1)&order=id",
        [{"id": 1}, {"id": 2}],
    ),
    Call(
        "blanks inside",
        "GET /guests?select=id&or=(%20id.eq.1%20,%20and%20(%20id.eq.2%20)%20)&order=id",
        ...,
        status=200,
    ),
    Call("together with filters", "GET /guests?select=id&wedding_id=eq.1&or=(id.eq.1,id.eq.4)", [{"id": 1}]),
    Call("several trees", "GET /guests?select=id&or=(id.eq.1,id.eq.2)&and=(id.gt.1)", [{"id": 2}]),
    Call("an empty tree", "GET /guests?or=()", {"code": "PGRST100"}, status=400),
    Call("an unclosed tree", "GET /guests?or=(id.eq.1", {"code": "PGRST100"}, status=400),
    Call("an unknown operator inside", "GET /guests?or=(id.is_like.1)", {"code": "PGRST100"}, status=400),
    Call(
        "nested too deeply",
        "GET /guests?or=" + "(and" * 40 + "(id.eq.1)" + ")" * 40,
        {"code": "PGRST100"},
        status=400,
    ),
]

ORDER = [
    Call("descending", "GET /venues?select=id&order=id.desc", [{"id": 3}, {"id": 2}, {"id": 1}]),
    Call(
        "nulls last when descending",
        "GET /venues?select=id&order=city.desc.nullslast",
        [{"id": 1}, {"id": 2}, {"id": 3}],
    ),
    Call("nulls first", "GET /venues?select=id&order=city.nullsfirst", [{"id": 3}, {"id": 2}, {"id": 1}]),
    Call(
        "several columns",
        "GET /guests?select=id&order=wedding_id.desc,id.asc&limit=3",
        [{"id": 6}, {"id": 4}, {"id": 5}],
    ),
    Call(
        "by a column that is not selected",
        "GET /venues?select=name&order=capacity.desc&limit=1",
        [{"name": "Barn"}],
    ),
    Call(
        "by the embedded row",
        "GET /weddings?select=id,venues(name)&order=venues(name).desc.nullslast,id",
        [
            {"id": 2, "venues": {"name": "Old Mill"}},
            {"id": 1, "venues": {"name": "Lakehouse"}},
            {"id": 3, "venues": {"name": "Lakehouse"}},
            {"id": 4, "venues": None},
        ],
    ),
    Call(
        "by an alias of the embedded row",
        "GET /weddings?select=id,place:venues(id)&order=place(capacity),id&limit=1",
        [{"id": 2, "place": {"id": 2}}],
    ),
    Call(
        "by what is not embedded",
        "GET /weddings?order=venues(name)",
        {
            "code": "PGRST108",
            "message": "'venues' is not an embedded resource in this request",
            "hint": "Verify that 'venues' is included in the 'select' query parameter.",
        },
        status=400,
    ),
    Call(
        "by many rows",
        "GET /weddings?select=id,guests(id)&order=guests(id)",
        {
            "code": "PGRST118",
            "message": "A related order on 'guests' is not possible",
            "details": "'weddings' and 'guests' do not form a many-to-one or one-to-one relationship",
        },
        status=400,
    ),
    Call(
        "inside the embedded",
        "GET /weddings?select=guests(id)&id=eq.1&guests.order=id.desc",
        [{"guests": [{"id": 3}, {"id": 2}, {"id": 1}]}],
    ),
    Call(
        "no direction",
        "GET /venues?order=id.up",
        {"code": "PGRST100", "message": '"failed to parse order (id.up)" (line 1, column 4)'},
        status=400,
    ),
    Call("nothing after the direction", "GET /venues?order=id.asc.nulls", {"code": "PGRST100"}, status=400),
]

RANGES = [
    Call("limit", "GET /guests?select=id&order=id&limit=2", [{"id": 1}, {"id": 2}]),
    Call("limit and offset", "GET /guests?select=id&order=id&limit=2&offset=3", [{"id": 4}, {"id": 5}]),
    Call("offset alone", "GET /guests?select=id&order=id&offset=4", [{"id": 5}, {"id": 6}]),
    Call("a large limit", "GET /guests?select=id&order=id&limit=100000&offset=5", [{"id": 6}]),
    Call("limit nothing", "GET /guests?limit=0", []),
    Call(
        "negative limit",
        "GET /guests?limit=-1",
        {"code": "PGRST103", "details": "Limit should be greater than or equal to zero."},
        status=416,
    ),
    Call(
        "limit of the embedded",
        "GET /weddings?select=guests(id)&id=eq.1&guests.limit=1&guests.offset=1&guests.order=id",
        [{"guests": [{"id": 2}]}],
    ),
    Call("a limit that is none is ignored", "GET /venues?select=id&id=eq.1&limit=many", [{"id": 1}]),
]

EMBEDDING = [
    Call(
        "many to one",
        "GET /weddings?select=id,venues(name,city)&id=in.(1,4)&order=id",
        [{"id": 1, "venues": {"name": "Lakehouse", "city": "Zürich"}}, {"id": 4, "venues": None}],
    ),
    Call(
        "one to many",
        "GET /venues?select=name,weddings(couple)&order=id&weddings.order=id",
        [
            {"name": "Lakehouse", "weddings": [{"couple": ADA}, {"couple": EVA}]},
            {"name": "Old Mill", "weddings": [{"couple": CEM}]},
            {"name": "Barn", "weddings": []},
        ],
    ),
    Call(
        "many to many",
        "GET /weddings?select=id,suppliers!wedding_suppliers(name)&id=eq.1&suppliers.order=name",
        [{"id": 1, "suppliers": [{"name": "Grand Table"}, {"name": "Lumière"}, {"name": "The Encores"}]}],
    ),
    Call(
        "one to one",
        "GET /weddings?select=id,sites(slug)&id=lte.2&order=id",
        [{"id": 1, "sites": {"slug": "ada-bo"}}, {"id": 2, "sites": None}],
    ),
    Call(
        "one to one, the other way",
        "GET /sites?select=slug,weddings(couple)&order=slug",
        [{"slug": "ada-bo", "weddings": {"couple": ADA}}, {"slug": "eva-flo", "weddings": {"couple": EVA}}],
    ),
    Call(
        "nested",
        "GET /venues?select=id,weddings(id,guests(first_name))&id=eq.2&weddings.guests.order=id",
        [{"id": 2, "weddings": [{"id": 2, "guests": [{"first_name": "Paul"}, {"first_name": "Quinn"}]}]}],
    ),
    Call(
        "composite key", "GET /bookings?select=id,rooms(beds)&order=id&limit=1", [{"id": 1, "rooms": {"beds": 2}}]
    ),
    Call(
        "composite key, the other way",
        "GET /rooms?select=number,bookings(id)&venue_id=eq.1&order=number&bookings.order=id",
        [{"number": 101, "bookings": [{"id": 1}, {"id": 2}]}, {"number": 102, "bookings": []}],
    ),
    Call(
        "self, those below",
        "GET /suppliers?select=name,studios:suppliers(name)&id=eq.1&studios.order=id",
        [{"name": "Lumière", "studios": [{"name": "Lumière Junior"}, {"name": "Lumière Film"}]}],
    ),
    Call(
        "self, the one above",
        "GET /suppliers?select=name,agency:agency_id(name)&id=eq.2",
        [{"name": "Lumière Junior", "agency": {"name": "Lumière"}}],
    ),
    Call(
        "self twice",
        "GET /suppliers?select=id,agency:agency_id(id,suppliers(id))&id=eq.5&agency.suppliers.order=id",
        [{"id": 5, "agency": {"id": 1, "suppliers": [{"id": 2}, {"id": 5}]}}],
    ),
    Call(
        "partitioned table",
        "GET /weddings?select=id,payments(amount)&id=eq.1&payments.order=paid_on",
        [{"id": 1, "payments": [{"amount": 5000}, {"amount": 25000}]}],
    ),
    Call(
        "a view",
        "GET /coming_guests?select=name,weddings(couple)&order=id&limit=1",
        [{"name": "Mia Keller", "weddings": {"couple": ADA}}],
    ),
    Call(
        "embedding a view",
        "GET /weddings?select=id,coming_guests(name)&id=eq.1&coming_guests.order=id",
        [{"id": 1, "coming_guests": [{"name": "Mia Keller"}, {"name": "Noah Keller"}]}],
    ),
    Call(
        "computed, many",
        "GET /guests?select=id,table_mates(id)&id=eq.1&table_mates.order=id",
        [{"id": 1, "table_mates": [{"id": 2}, {"id": 3}]}],
    ),
    Call(
        "computed, one",
        "GET /guests?select=id,the_wedding(couple,venues(name))&id=eq.4",
        [{"id": 4, "the_wedding": {"couple": CEM, "venues": {"name": "Old Mill"}}}],
    ),
    Call(
        "computed inside",
        "GET /weddings?select=id,guests(id,table_mates(id))&id=eq.2&guests.order=id",
        [{"id": 2, "guests": [{"id": 4, "table_mates": [{"id": 5}]}, {"id": 5, "table_mates": [{"id": 4}]}]}],
    ),
    Call(
        "alias", "GET /weddings?select=id,place:venues(name)&id=eq.1", [{"id": 1, "place": {"name": "Lakehouse"}}]
    ),
    Call(
        "by the name of the key",
        "GET /weddings?select=id,weddings_planner(name)&id=eq.1",
        [{"id": 1, "weddings_planner": {"name": "Lumière"}}],
    ),
    Call(
        "by the column",
        "GET /weddings?select=id,planner_id(name)&id=eq.1",
        [{"id": 1, "planner_id": {"name": "Lumière"}}],
    ),
    Call(
        "ambiguous",
        "GET /messages?select=id,suppliers(name)",
        {
            "code": "PGRST201",
            "message": "Could not embed because more than one relationship was found for 'messages' and 'suppliers'",
            "hint": "Try changing 'suppliers' to one of the following: 'suppliers!messages_recipient', 'suppliers!messages_sender'. Find the desired relationship in the 'details' key.",
            "details": [
                {
                    "cardinality": "many-to-one",
                    "embedding": "messages with suppliers",
                    "relationship": "messages_recipient using messages(recipient_id) and suppliers(id)",
                },
                {
                    "cardinality": "many-to-one",
                    "embedding": "messages with suppliers",
                    "relationship": "messages_sender using messages(sender_id) and suppliers(id)",
                },
            ],
        },
        status=300,
    ),
    Call(
        "hint by constraint",
        "GET /messages?select=id,from:suppliers!messages_sender(name),to:suppliers!messages_recipient(name)&id=eq.1",
        [{"id": 1, "from": {"name": "Lumière"}, "to": {"name": "Grand Table"}}],
    ),
    Call(
        "hint by column",
        "GET /messages?select=id,suppliers!sender_id(name)&id=eq.3",
        [{"id": 3, "suppliers": {"name": "The Encores"}}],
    ),
    Call(
        "hint from the other side",
        "GET /suppliers?select=id,messages!messages_sender(id)&id=eq.1",
        [{"id": 1, "messages": [{"id": 1}]}],
    ),
    Call(
        "no such relationship",
        "GET /venues?select=id,articles(id)",
        {
            "code": "PGRST200",
            "message": "Could not find a relationship between 'venues' and 'articles' in the schema cache",
            "details": "Searched for a foreign key relationship between 'venues' and 'articles' in the schema 'planner', but no matches were found.",
        },
        status=400,
    ),
    Call(
        "a near name",
        "GET /venues?select=id,weding(id)",
        {"code": "PGRST200", "hint": "Perhaps you meant 'weddings' instead of 'weding'."},
        status=400,
    ),
    Call("a wrong hint", "GET /messages?select=id,suppliers!nothing(id)", {"code": "PGRST200"}, status=400),
    Call(
        "inner",
        "GET /weddings?select=id,venues!inner(name)&order=id",
        [
            {"id": 1, "venues": {"name": "Lakehouse"}},
            {"id": 2, "venues": {"name": "Old Mill"}},
            {"id": 3, "venues": {"name": "Lakehouse"}},
        ],
    ),
    Call(
        "inner with a filter",
        "GET /weddings?select=id,venues!inner(name)&venues.city=eq.Bern",
        [{"id": 2, "venues": {"name": "Old Mill"}}],
    ),
    Call(
        "left with a filter",
        "GET /weddings?select=id,venues(name)&venues.city=eq.Bern&order=id&limit=2",
        [{"id": 1, "venues": None}, {"id": 2, "venues": {"name": "Old Mill"}}],
    ),
    Call(
        "inner to many",
        "GET /venues?select=id,weddings!inner(id)&weddings.paid=is.true",
        [{"id": 1, "weddings": [{"id": 1}]}],
    ),
    Call(
        "inner through a junction",
        "GET /suppliers?select=id,weddings!wedding_suppliers!inner(id)&weddings.id=eq.2",
        [{"id": 3, "weddings": [{"id": 2}]}],
    ),
    Call(
        "inner inside inner",
        "GET /venues?select=id,weddings!inner(guests!inner(id))&weddings.guests.first_name=eq.Rosa",
        [{"id": 1, "weddings": [{"guests": [{"id": 6}]}]}],
    ),
    Call("empty embedding filters only", "GET /venues?select=id,weddings!inner()&weddings.id=eq.2", [{"id": 2}]),
    Call("empty embedding", "GET /venues?select=id,weddings()&id=eq.1", [{"id": 1}]),
    Call("only an empty embedding", "GET /venues?select=weddings()&limit=2", [{}, {}]),
    Call(
        "is null of an embedding",
        "GET /venues?select=id,weddings(id)&weddings=is.null",
        [{"id": 3, "weddings": []}],
    ),
    Call(
        "not is null of an embedding",
        "GET /venues?select=id,weddings()&weddings=not.is.null&order=id",
        [{"id": 1}, {"id": 2}],
    ),
    Call(
        "or across embeddings",
        "GET /weddings?select=id,venues(),sites()&venues.city=eq.Bern&or=(venues.not.is.null,sites.not.is.null)&order=id",
        [{"id": 1}, {"id": 2}, {"id": 3}],
    ),
    Call(
        "filter inside",
        "GET /weddings?select=id,guests(id)&guests.coming=is.true&id=lt.3&order=id&guests.order=id",
        [{"id": 1, "guests": [{"id": 1}, {"id": 2}]}, {"id": 2, "guests": [{"id": 5}]}],
    ),
    Call(
        "tree of filters inside",
        "GET /weddings?select=id,guests(id)&id=eq.1&guests.or=(id.eq.1,diet.eq.halal)&guests.order=id",
        [{"id": 1, "guests": [{"id": 1}, {"id": 3}]}],
    ),
    Call(
        "negated tree inside",
        "GET /weddings?select=id,guests(id)&id=eq.1&guests.not.or=(id.eq.1,seat.is.null)",
        [{"id": 1, "guests": [{"id": 2}]}],
    ),
    Call(
        "filter by the relation's name despite the alias",
        "GET /weddings?select=id,people:guests(id)&id=eq.1&guests.id=eq.2",
        [{"id": 1, "people": [{"id": 2}]}],
    ),
    Call(
        "called by its alias",
        "GET /weddings?select=id,people:guests(id)&id=eq.1&people.id=eq.2",
        [{"id": 1, "people": [{"id": 2}]}],
        headers={"warning": None},
    ),
    Call(
        "called by its name, with a warning",
        "GET /weddings?select=id,people:guests(id)&id=eq.1&guests.limit=0",
        [{"id": 1, "people": []}],
        headers={
            "warning": '299 wedsync "Embedded resource was referenced by relation name even though it has an alias. This is deprecated and will stop working in a future release. Update `guests` to `people` in query string filters, orders or limits."'
        },
    ),
    Call("filter of what is not embedded", "GET /weddings?guests.id=eq.2", {"code": "PGRST108"}, status=400),
    Call(
        "the same table twice",
        "GET /weddings?select=id,guests(id),vegans:guests(id)&id=eq.1&vegans.diet=eq.vegan&guests.limit=1&guests.order=id",
        [{"id": 1, "guests": [{"id": 1}], "vegans": [{"id": 1}]}],
    ),
    Call(
        "nested too deeply",
        "GET /suppliers?select=" + "suppliers(" * 30 + "id" + ")" * 30,
        {"code": "PGRST100"},
        status=400,
    ),
]

SPREADS = [
    Call(
        "to one",
        "GET /weddings?select=id,...venues(venue:name,city)&id=in.(1,4)&order=id",
        [{"id": 1, "venue": "Lakehouse", "city": "Zürich"}, {"id": 4, "venue": None, "city": None}],
    ),
    Call(
        "to one, all columns",
        "GET /sites?select=...weddings(*)&slug=eq.eva-flo",
        [
            {
                "id": 3,
                "couple": EVA,
                "held_on": "2031-07-19",
                "venue_id": 1,
                "planner_id": 3,
                "budget": None,
                "details": None,
                "paid": None,
            }
        ],
    ),
    Call(
        "to one with an embedding inside",
        "GET /guests?select=id,...weddings(couple,venues(name))&id=eq.6",
        [{"id": 6, "couple": EVA, "venues": {"name": "Lakehouse"}}],
    ),
    Call(
        "spread inside a spread",
        "GET /guests?select=id,...weddings(...venues(name))&id=eq.6",
        [{"id": 6, "name": "Lakehouse"}],
    ),
    Call(
        "inner",
        "GET /weddings?select=id,...venues!inner(name)&venues.city=eq.Bern",
        [{"id": 2, "name": "Old Mill"}],
    ),
    Call(
        "to many",
        "GET /venues?select=name,...weddings(couple,id)&order=id&weddings.order=id",
        [
            {"name": "Lakehouse", "couple": [ADA, EVA], "id": [1, 3]},
            {"name": "Old Mill", "couple": [CEM], "id": [2]},
            {"name": "Barn", "couple": [], "id": []},
        ],
    ),
    Call(
        "to many with a null",
        "GET /weddings?select=id,...guests(diet)&id=eq.2&guests.order=id.desc",
        [{"id": 2, "diet": ["vegan", "vegetarian"]}],
    ),
    Call(
        "to many, ordered and limited",
        "GET /weddings?select=id,...guests(names:first_name)&id=eq.1&guests.order=id.desc&guests.limit=2",
        [{"id": 1, "names": ["Olga", "Noah"]}],
    ),
    Call(
        "many to many",
        "GET /weddings?select=id,...suppliers!wedding_suppliers(name)&id=eq.1&suppliers.order=id",
        [{"id": 1, "name": ["Lumière", "Grand Table", "The Encores"]}],
    ),
    Call(
        "to many inside to many",
        "GET /venues?select=id,...weddings(...guests(first_name))&id=eq.2&weddings.guests.order=id",
        [{"id": 2, "first_name": [["Paul", "Quinn"]]}],
    ),
    Call(
        "the far table without the junction",
        "GET /weddings?select=id,wedding_suppliers(fee,...suppliers(name))&id=eq.2",
        [{"id": 2, "wedding_suppliers": [{"fee": 7000, "name": "Grand Table"}]}],
    ),
]

AGGREGATES = [
    Call("count of rows", "GET /guests?select=count()", [{"count": 6}]),
    Call("count of a column", "GET /guests?select=diet.count()", [{"count": 5}]),
    Call("count with alias and cast", "GET /guests?select=people:count()::text", [{"people": "6"}]),
    Call(
        "sum, avg, min, max",
        "GET /payments?select=amount.sum(),lowest:amount.min(),highest:amount.max(),amount.avg()::int",
        [{"sum": 47000.25, "lowest": 5000, "highest": 25000, "avg": 11750}],
    ),
    Call(
        "grouped",
        "GET /guests?select=wedding_id,count()&order=wedding_id",
        [{"wedding_id": 1, "count": 3}, {"wedding_id": 2, "count": 2}, {"wedding_id": 3, "count": 1}],
    ),
    Call("filtered", "GET /guests?select=count()&coming=is.true", [{"count": 4}]),
    Call("written as a column", "GET /guests?select=count&coming=is.true", [{"count": 4}]),
    Call(
        "written as a column, inside",
        "GET /weddings?select=id,guests(count)&id=gte.3&order=id",
        [{"id": 3, "guests": [{"count": 1}]}, {"id": 4, "guests": [{"count": 0}]}],
    ),
    Call("of nothing", "GET /empty_table?select=count(),id.max()", [{"count": 0, "max": None}]),
    Call("of a path, cast before", "GET /weddings?select=details->cake->>tiers::int.sum()", [{"sum": 4}]),
    Call(
        "inside an embedding",
        "GET /weddings?select=id,payments(amount.sum())&id=in.(1,3)&order=id",
        [{"id": 1, "payments": [{"sum": 30000}]}, {"id": 3, "payments": [{"sum": None}]}],
    ),
    Call(
        "grouped inside an embedding",
        "GET /weddings?select=id,guests(coming,count())&id=eq.1&guests.order=coming",
        [{"id": 1, "guests": [{"coming": False, "count": 1}, {"coming": True, "count": 2}]}],
    ),
    Call(
        "grouped by an embedding",
        "GET /payments?select=amount.sum(),weddings(couple)&order=wedding_id",
        ...,
        status=400,
    ),
    Call(
        "grouped by a column and an embedding",
        "GET /payments?select=wedding_id,amount.sum(),weddings(couple)&order=wedding_id",
        [
            {"wedding_id": 1, "sum": 30000, "weddings": {"couple": ADA}},
            {"wedding_id": 2, "sum": 8000.25, "weddings": {"couple": CEM}},
            {"wedding_id": 4, "sum": 9000, "weddings": {"couple": GIL}},
        ],
    ),
    Call(
        "grouped by a spread",
        "GET /payments?select=amount.sum(),...weddings(couple)&order=weddings(couple)",
        ...,
        status=400,
    ),
    Call(
        "of a spread",
        "GET /guests?select=...weddings(budget.max(),lowest:budget.min())",
        [{"max": 30000, "lowest": 18000.5}],
    ),
    Call(
        "of a spread, grouped by its columns",
        "GET /guests?select=...weddings(couple,budget.max())&wedding_id=eq.2",
        [{"couple": CEM, "max": 18000.5}],
    ),
    Call(
        "count in a spread",
        "GET /wedding_suppliers?select=supplier_id,...weddings(count())&supplier_id=eq.3",
        [{"supplier_id": 3, "count": 2}],
    ),
    Call("in a spread of many", "GET /venues?select=id,...weddings(count())", {"code": "PGRST127"}, status=400),
]

ALL = [
    (group, call)
    for group, calls in {
        "columns": COLUMNS,
        "paths": JSON_PATHS,
        "functions of rows": FUNCTIONS_OF_ROWS,
        "filters": FILTERS,
        "logic": LOGIC,
        "order": ORDER,
        "ranges": RANGES,
        "embedding": EMBEDDING,
        "spreads": SPREADS,
        "aggregates": AGGREGATES,
    }.items()
    for call in calls
]


@pytest.mark.parametrize(("group", "call"), ALL, ids=[f"{group}: {call.name}" for group, call in ALL])
@pytest.mark.asyncio(loop_scope="session")
async def test_reading(group: str, call: Call, season_gate: Gate) -> None:
    await season_gate.check(call)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_name_cannot_end_a_header(season_gate: Gate) -> None:
    alias = quote('"a\r\nset-cookie: b=c\\""')
    answer = await season_gate.ask(f"GET /weddings?select={alias}:guests(id)&guests.limit=1")
    assert answer.status_code == 200
    assert "`guests` to `a??set-cookie: b=c?`" in answer.headers["warning"]
    assert "set-cookie" not in answer.headers
