"""Accounts from outside: signing in, sessions that are refreshed, signing out, and what others may see."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import Deployment, NewApi
from tests.support.client import REGISTER, RUN, RUN_EVENTS, Api, RefusedError

LOGIN = """mutation($i: LoginInput!) { login(input: $i) {
  session { accessToken refreshToken user { username } } errors { code message path } } }"""
REFRESH = """mutation($i: RefreshSessionInput!) { refreshSession(input: $i) {
  session { accessToken refreshToken } errors { code message path } } }"""
LOGOUT = "mutation($i: LogoutInput!) { logout(input: $i) { loggedOut errors { code message } } }"
VIEWER = "{ viewer { username } }"


async def refusal(api: Api, query: str, **variables: Any) -> str:
    """The code of the refusal that an operation ends in."""
    with pytest.raises(RefusedError) as refused:
        await api.call(query, **variables)
    (error,) = refused.value.errors
    return error["code"] if "code" in error else error["extensions"]["code"]


async def test_an_account_is_registered_once_and_signs_in_with_its_password_alone(
    deployment: Deployment, new_api: NewApi, name: Callable[[], str]
) -> None:
    api, username = new_api(deployment), name()
    account = {"email": f"{username}@example.com", "username": username, "password": "correct horse"}
    assert (await api.call(REGISTER, i=account))["session"]["user"]["username"] == username
    assert await refusal(api, REGISTER, i=account) == "TAKEN"
    credentials = {"email": account["email"], "password": "wrong horse"}
    assert await refusal(api, LOGIN, i=credentials) == "BAD_CREDENTIALS"
    assert await refusal(api, LOGIN, i={**credentials, "email": "no@body.org"}) == "BAD_CREDENTIALS"
    session = (await api.call(LOGIN, i={**credentials, "password": "correct horse"}))["session"]
    api.token = session["accessToken"]
    assert await api.call(VIEWER) == {"username": username}


async def test_a_refresh_token_works_once_and_its_second_use_ends_the_whole_session(
    deployment: Deployment, new_api: NewApi, name: Callable[[], str]
) -> None:
    api = new_api(deployment)
    first = await api.sign_up(name())
    second = (await api.call(REFRESH, i={"refreshToken": first["refreshToken"]}))["session"]
    assert second["refreshToken"] != first["refreshToken"]
    api.token = second["accessToken"]
    assert await api.call(VIEWER)
    anonymous = new_api(deployment)
    assert await refusal(anonymous, REFRESH, i={"refreshToken": first["refreshToken"]}) == "EXPIRED"
    assert await refusal(anonymous, REFRESH, i={"refreshToken": second["refreshToken"]}) == "EXPIRED"
    assert await refusal(api, VIEWER) == "UNAUTHENTICATED"


async def test_a_refresh_token_of_long_ago_ends_the_session_too(
    deployment: Deployment, new_api: NewApi, name: Callable[[], str]
) -> None:
    api = new_api(deployment)
    stolen = latest = (await api.sign_up(name()))["refreshToken"]
    api.token = None
    for _ in range(3):
        latest = (await api.call(REFRESH, i={"refreshToken": latest}))["session"]["refreshToken"]
    assert await refusal(api, REFRESH, i={"refreshToken": stolen}) == "EXPIRED"
    assert await refusal(api, REFRESH, i={"refreshToken": latest}) == "EXPIRED"


async def test_signing_out_ends_the_access_token_at_once(api: Api) -> None:
    assert await api.call(VIEWER)
    assert (await api.call(LOGOUT, i={}))["loggedOut"]
    assert await refusal(api, VIEWER) == "UNAUTHENTICATED"


async def test_nothing_of_another_account_is_seen_or_changed(
    deployment: Deployment, api: Api, new_api: NewApi, name: Callable[[], str]
) -> None:
    playground = await api.playground("mine")
    task = await api.task(playground, "only")
    run = (await api.run_to_end(playground))["id"]
    stranger = new_api(deployment)
    await stranger.sign_up(name())
    assert await stranger.call(RUN, id=run) is None
    assert await stranger.call("query($id: ID!) { node(id: $id) { id } }", id=task) is None
    ids = {"playgroundId": playground, "taskId": task, "runId": run}
    for query, argument in (
        ("mutation($i: RunPlaygroundInput!) { runPlayground(input: $i) { errors { code } } }", "playgroundId"),
        ("mutation($i: DeleteTaskInput!) { deleteTask(input: $i) { errors { code } } }", "taskId"),
        ("mutation($i: CancelRunInput!) { cancelRun(input: $i) { errors { code } } }", "runId"),
    ):
        assert await refusal(stranger, query, i={argument: ids[argument]}) == "NOT_FOUND"
    async with stranger.socket() as socket:
        with pytest.raises(RefusedError, match="NOT_FOUND"):
            await anext(socket.subscribe(RUN_EVENTS, id=run))


async def test_a_token_that_is_not_good_stands_in_nobodys_way_to_a_new_session(
    deployment: Deployment, new_api: NewApi, name: Callable[[], str]
) -> None:
    api = new_api(deployment)
    session = await api.sign_up(name())
    api.token = "ended long ago"
    assert await refusal(api, VIEWER) == "UNAUTHENTICATED"
    fresh = await api.call(REFRESH, i={"refreshToken": session["refreshToken"]})
    api.token = fresh["session"]["accessToken"]
    assert await api.call(VIEWER)
