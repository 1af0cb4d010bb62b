"""Files by the GraphQL multipart request specification."""

import json

import pytest

from app.graphql.transport.multipart import UploadLimits

QUERY = "mutation($file:Upload!){readFile(file:$file)}"
PREFLIGHT = {"graphql-require-preflight": "1"}


async def upload(site, operations, places, files, headers=PREFLIGHT):
    data = {}
    if operations is not None:
        data["operations"] = operations if isinstance(operations, str) else json.dumps(operations)
    if places is not None:
        data["map"] = places if isinstance(places, str) else json.dumps(places)
    return await site.http.post(site.url, data=data, files=files, headers=headers)


ONE = {"query": QUERY, "variables": {"file": None}}
FILE = {"0": ("a.txt", b"the content")}


async def test_a_file_arrives(site):
    response = await upload(site, ONE, {"0": ["variables.file"]}, FILE)
    assert response.json() == {"data": {"readFile": "the content"}}


async def test_several_files_arrive_in_their_places(site):
    operations = {"query": "mutation($f:[Upload!]!){readFiles(files:$f)}", "variables": {"f": [None, None]}}
    files = {"a": ("a", b"1"), "b": ("b", b"22")}
    response = await upload(site, operations, {"b": ["variables.f.0"], "a": ["variables.f.1"]}, files)
    assert response.json() == {"data": {"readFiles": [2, 1]}}


async def test_a_large_file_is_spooled(start_site):
    site = await start_site(max_body_bytes=1_000)
    response = await upload(
        site,
        {"query": "mutation($f:[Upload!]!){readFiles(files:$f)}", "variables": {"f": [None]}},
        {"0": ["variables.f.0"]},
        {"0": ("big", b"x" * 5_000_000)},
    )
    assert response.json() == {"data": {"readFiles": [5_000_000]}}


@pytest.mark.parametrize("headers", [{}, {"graphql-require-preflight": ""}])
async def test_a_form_without_the_header_is_refused_for_a_foreign_page_could_have_sent_it(site, headers):
    response = await upload(site, ONE, {"0": ["variables.file"]}, FILE, headers)
    assert response.status_code == 403
    assert "GraphQL-Require-Preflight" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize("name", ["x-requested-with", "apollo-require-preflight"])
async def test_other_headers_that_force_a_preflight_do_as_well(site, name):
    response = await upload(site, ONE, {"0": ["variables.file"]}, FILE, {name: "XMLHttpRequest"})
    assert response.json() == {"data": {"readFile": "the content"}}


@pytest.mark.parametrize(
    ("operations", "places", "words"),
    [
        (None, {"0": ["variables.file"]}, "`operations`"),
        (ONE, None, "`map`"),
        ("{", {"0": ["variables.file"]}, "not valid JSON"),
        (ONE, "{", "not valid JSON"),
        ([ONE], {"0": ["0.variables.file"]}, "Batches"),
        (ONE, ["variables.file"], "`map` has to be a JSON object"),
        (ONE, {"0": "variables.file"}, "list of 1 to 10 paths"),
        (ONE, {"0": []}, "list of 1 to 10 paths"),
        (ONE, {"0": ["variables.file"] * 11}, "list of 1 to 10 paths"),
        (ONE, {"1": ["variables.file"]}, "which the form does not carry"),
        (ONE, {"operations": ["variables.file"]}, "which the form does not carry"),
        (ONE, {"0": ["query"]}, "null inside `variables`"),
        (ONE, {"0": ["variables.other"]}, "null inside `variables`"),
        (ONE, {"0": ["variables.file.0"]}, "null inside `variables`"),
        (ONE, {"0": ["variables"]}, "null inside `variables`"),
        (ONE, {"0": [""]}, "null inside `variables`"),
        (ONE, {"0": [7]}, "null inside `variables`"),
        (ONE, {"0": ["variables.file", "variables.file"]}, "null inside `variables`"),
        ({"query": QUERY, "variables": {"file": [None]}}, {"0": ["variables.file.99999999999"]}, "null inside"),
        ({"query": QUERY, "variables": {"file": "text"}}, {"0": ["variables.file"]}, "null inside"),
    ],
)
async def test_a_form_that_does_not_fit_together_is_400_and_says_why(site, operations, places, words):
    response = await upload(site, operations, places, FILE)
    assert response.status_code == 400
    assert words in response.json()["errors"][0]["message"]
    assert site.log.events == []


async def test_a_form_over_the_size_limit_is_413(start_site):
    site = await start_site(upload_limits=UploadLimits(max_body_bytes=100_000))
    response = await upload(site, ONE, {"0": ["variables.file"]}, {"0": ("big", b"x" * 200_000)})
    assert response.status_code == 413
    assert response.json()["errors"][0]["extensions"]["code"] == "TOO_LARGE"


async def test_too_many_files_are_refused(start_site):
    site = await start_site(upload_limits=UploadLimits(max_files=2))
    files = {str(number): ("a", b"1") for number in range(3)}
    response = await upload(site, ONE, {"0": ["variables.file"]}, files)
    assert response.status_code == 400
    assert "Too many files" in response.json()["errors"][0]["message"]


WHOLE = (
    b'--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n'
    + json.dumps(ONE).encode()
    + b'\r\n--b\r\nContent-Disposition: form-data; name="map"\r\n\r\n{"0": ["variables.file"]}'
    + b'\r\n--b\r\nContent-Disposition: form-data; name="0"; filename="a.txt"\r\n\r\nthe content\r\n--b--\r\n'
)


async def test_a_form_that_is_cut_off_anywhere_is_400_and_leaves_no_file_open(site):
    headers = {"content-type": "multipart/form-data; boundary=b", **PREFLIGHT}
    response = await site.http.post(site.url, content=WHOLE, headers=headers)
    assert response.json() == {"data": {"readFile": "the content"}}
    for size in range(0, len(WHOLE) - 4, 9):
        response = await site.http.post(site.url, content=WHOLE[:size], headers=headers)
        assert response.status_code == 400, size
    assert site.log.events == []


async def test_a_form_that_is_damaged_anywhere_is_no_fault_of_the_servers(site):
    headers = {"content-type": "multipart/form-data; boundary=b", **PREFLIGHT}
    content = range(WHOLE.index(b"the content"), WHOLE.index(b"\r\n--b--"))  # which the toy wants to be text
    for place in set(range(0, len(WHOLE), 7)) - set(content):
        damaged = bytearray(WHOLE)
        damaged[place] ^= 0x95
        response = await site.http.post(site.url, content=bytes(damaged), headers=headers)
        assert response.status_code < 500, place
    assert site.log.events == []


async def test_a_client_that_hangs_up_in_the_middle_of_a_file_leaves_none_open(site):
    async def half():
        yield WHOLE[:-20]
        raise ConnectionError

    headers = {"content-type": "multipart/form-data; boundary=b", **PREFLIGHT}
    with pytest.raises(ConnectionError):
        await site.http.post(site.url, content=half(), headers=headers)
    assert (await upload(site, ONE, {"0": ["variables.file"]}, FILE)).status_code == 200
    assert site.log.events == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"nonsense"),
        ("multipart/form-data; boundary=b", b"--b\r\nno-disposition: x\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b; charset=nonsense", b"--b--\r\n"),
    ],
)
async def test_a_broken_form_is_400(site, content_type, body):
    headers = {"content-type": content_type, **PREFLIGHT}
    response = await site.http.post(site.url, content=body, headers=headers)
    assert response.status_code == 400
    assert site.log.events == []
