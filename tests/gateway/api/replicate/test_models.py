"""Models, versions and deployments over HTTP. The unmodified client is in tests/cog/test_push_live.py."""

import json
from collections import Counter

from pilotlight.gateway.registry.deployments import Deployment, Deployments, Share
from pilotlight.gateway.registry.names import NAME_PATTERN
from pilotlight.gateway.registry.registry import Model
from tests.gateway.made import Limits, made_version, run, served
from tests.gateway.registered import MODEL, id_of, registered

NEW_MODEL = {"owner": "acme", "name": "new", "visibility": "private", "hardware": "gpu-t4"}
STEADY = {
    "name": "steady",
    "model": MODEL,
    "version": id_of(1),
    "hardware": "cpu",
    "min_instances": 0,
    "max_instances": 2,
}
DEPLOYMENT = "/v1/deployments/local/steady"


def over_http(path, scenario, *numbers, **options):
    """With one project, ``local/model7``, and these pushed versions."""

    async def whole():
        registered(path, *numbers)
        async with served(path, **{"versions": [made_version(7)], **options}) as client:
            return await scenario(client)

    return run(whole())


def test_a_model_is_created_listed_found_and_deleted(tmp_path):
    async def scenario(client):
        made = await client.post(
            "/v1/models", json={**NEW_MODEL, "description": "Says hello", "github_url": "https://x"}
        )
        assert made.status_code == 201
        shown = made.json()
        assert (shown["owner"], shown["name"], shown["latest_version"], shown["run_count"]) == ("acme", "new", None, 0)
        assert (shown["description"], shown["github_url"]) == ("Says hello", "https://x")
        assert (await client.get("/v1/models/acme/new")).json() == shown
        listed = (await client.get("/v1/models")).json()["results"]
        assert [one["name"] for one in listed] == ["model7", "hello", "new"]
        for query, names in ((" says  HELLO ", ["new"]), ("acme", ["hello", "new"]), ("", ["model7", "hello", "new"])):
            # As a plain text by older clients, as a JSON string by newer ones.
            for content, kind in ((query, "text/plain"), (json.dumps(query), "application/json")):
                headers = {"Content-Type": kind}
                found = await client.request("QUERY", "/v1/models", content=content, headers=headers)
                assert [one["name"] for one in found.json()["results"]] == names
            searched = (await client.get("/v1/search", params={"query": query})).json()
            assert [one["model"]["name"] for one in searched["models"]] == names
            assert (searched["query"], searched["collections"], searched["pages"]) == (query, [], [])
        assert len((await client.get("/v1/search?query=a&limit=1")).json()["models"]) == 1
        assert (await client.delete("/v1/models/acme/new")).status_code == 204
        assert (await client.get("/v1/models/acme/new")).status_code == 404

    over_http(tmp_path, scenario, 1)


def test_models_are_sorted_by_their_own_age_or_that_of_their_latest_version(tmp_path):
    async def scenario(client):
        registry = registered(tmp_path, 3, model="acme/old")
        registry.create_model(Model("acme/empty", 150.0))
        registered(tmp_path, 4)
        for query, names in (
            ("", ["model7", "hello", "old", "empty"]),
            ("?sort_direction=asc", ["empty", "old", "hello", "model7"]),
            ("?sort_by=model_created_at", ["model7", "empty", "old", "hello"]),
        ):
            listed = (await client.get(f"/v1/models{query}")).json()["results"]
            assert [one["name"] for one in listed] == names

    over_http(tmp_path, scenario, 1, clock=lambda: 1000.0)


def test_a_model_is_described(tmp_path):
    async def scenario(client):
        url = f"/v1/models/{MODEL}"
        assert (await client.get(f"{url}/readme")).status_code == 404
        (client.gateway.catalog.registry.folder(id_of(1)) / "README.md").write_text("# Of the versión\n")
        answer = await client.get(f"{url}/readme")
        assert (answer.text, answer.headers["content-type"]) == ("# Of the versión\n", "text/plain; charset=utf-8")
        changes = {
            "description": "Says hello",
            "readme": "# Ours",
            "weights_url": "https://x",
            "paper_url": "https://p",
        }
        changed = (await client.patch(url, json=changes)).json()
        assert (changed["description"], changed["paper_url"]) == ("Says hello", "https://p")
        assert (await client.patch(url, json={"paper_url": None})).json()["paper_url"] is None
        assert (await client.get(url)).json()["description"] == "Says hello"
        assert (await client.get(f"{url}/readme")).text == "# Ours"
        assert (await client.get(f"{url}/examples")).json() == {"previous": None, "next": None, "results": []}

    over_http(tmp_path, scenario, 1)


def test_a_deployment_without_instances_lets_its_predictions_wait(tmp_path):
    async def scenario(client):
        assert (await client.post("/v1/deployments", json={**STEADY, "max_instances": 0})).status_code == 201
        answer = await client.post(f"{DEPLOYMENT}/predictions", json={"input": {"prompt": "a"}})
        assert answer.json()["status"] == "starting"
        active = client.gateway.active(answer.json()["id"])
        assert (await client.patch(DEPLOYMENT, json={"max_instances": 1})).status_code == 200
        assert await active.wait_ended(60)
        assert active.record.output == ["a"]

    over_http(tmp_path, scenario, 1)


def test_versions_are_listed_read_and_deleted(tmp_path):
    async def scenario(client):
        url = f"/v1/models/{MODEL}"
        listed = (await client.get(f"{url}/versions")).json()["results"]
        assert [one["id"] for one in listed] == [id_of(2), id_of(1)]
        assert (await client.get(f"{url}/versions/{id_of(1)}")).json() == listed[1]
        assert (await client.get(url)).json()["latest_version"] == listed[0]
        assert (await client.delete(url)).json()["detail"] == f"{MODEL} has versions; delete them first"
        assert (await client.delete(f"{url}/versions/{id_of(2)}")).status_code == 204
        assert (await client.delete(f"{url}/versions/{id_of(2)}")).status_code == 404
        assert (await client.get(url)).json()["latest_version"] == listed[1]
        refused = await client.post("/v1/predictions", json={"version": id_of(2), "input": {"prompt": "a"}})
        assert refused.status_code == 404

    over_http(tmp_path, scenario, 1, 2)


def test_a_deployment_from_its_creation_to_its_end(tmp_path):
    async def scenario(client):
        made = await client.post("/v1/deployments", json=STEADY)
        assert made.status_code == 201
        shown = made.json()
        release = shown["current_release"]
        assert (shown["owner"], shown["name"], release["number"]) == ("local", "steady", 1)
        assert (release["model"], release["version"]) == (MODEL, id_of(1))
        assert release["configuration"] == {"hardware": "cpu", "min_instances": 0, "max_instances": 2}
        assert (await client.get(DEPLOYMENT)).json() == shown
        own, listed = (await client.get("/v1/deployments")).json()["results"]
        assert (own["name"], own["current_release"]["configuration"]["max_instances"], listed) == ("model7", 3, shown)
        changed = await client.patch(DEPLOYMENT, json={"version": id_of(2), "max_instances": 1})
        release = changed.json()["current_release"]
        assert (release["number"], release["version"], release["configuration"]["max_instances"]) == (2, id_of(2), 1)
        assert (release["traffic"], release["sticky"]) == ([{"version": id_of(2), "weight": 1.0}], None)
        answer = await client.post(
            f"{DEPLOYMENT}/predictions", json={"input": {"prompt": "a"}}, headers={"Prefer": "wait"}
        )
        prediction = answer.json()
        assert (prediction["deployment"], prediction["version"], prediction["output"]) == (
            "local/steady",
            id_of(2),
            ["a"],
        )
        assert (await client.delete(DEPLOYMENT)).status_code == 204
        assert (await client.get(DEPLOYMENT)).status_code == 404
        assert (await client.get(f"/v1/predictions/{prediction['id']}")).json() == prediction

    over_http(tmp_path, scenario, 1, 2, limits=Limits(max_workers=3))


def test_weights_over_versions_and_a_header_that_keeps_callers_on_one(tmp_path):
    async def scenario(client):
        halves = [{"version": id_of(1), "weight": 1}, {"version": id_of(2), "weight": 1}]
        body = {name: value for name, value in STEADY.items() if name != "version"}
        made = await client.post("/v1/deployments", json={**body, "traffic": halves, "sticky": "header:X-User"})
        assert made.status_code == 201, made.text
        assert made.json()["current_release"]["traffic"] == halves

        async def versions(headers):
            created = [
                await client.post(f"{DEPLOYMENT}/predictions", json={"input": {"prompt": "a"}}, headers=headers)
                for _ in range(24)  # all of one version of two by chance: once in 8 million runs
            ]
            return {one.json()["version"] for one in created}

        assert await versions({"Prefer": "wait"}) == {id_of(1), id_of(2)}
        for headers in ({"X-User": "ann"}, {"Pilotlight-Key": "ann"}):
            assert len(await versions({"Prefer": "wait", **headers})) == 1
        changed = await client.patch(DEPLOYMENT, json={"version": id_of(2), "sticky": ""})
        release = changed.json()["current_release"]
        assert (release["number"], release["traffic"], release["sticky"]) == (
            2,
            [{"version": id_of(2), "weight": 1.0}],
            None,
        )

    over_http(tmp_path, scenario, 1, 2)


REFUSED = (
    ("POST", "/v1/models", {**NEW_MODEL, "name": "hello"}, 409, "there is a model acme/hello already"),
    ("POST", "/v1/models", {**NEW_MODEL, "owner": "local", "name": "model7"}, 409, "is served from its folder"),
    ("POST", "/v1/models", {**NEW_MODEL, "name": "No/Name"}, 422, "name: String should match pattern"),
    ("POST", "/v1/models", {**NEW_MODEL, "visibility": "hidden"}, 422, "visibility: Input should be 'public'"),
    ("POST", "/v1/models", {"owner": "acme"}, 422, "name: Field required"),
    ("DELETE", "/v1/models/local/model7", None, 409, "push it under another name"),
    ("DELETE", f"/v1/models/local/model7/versions/{made_version(7).id}", None, 409, "is served from its folder"),
    ("DELETE", "/v1/models/acme/none", None, 404, "there is no model acme/none"),
    ("DELETE", f"/v1/models/{MODEL}/versions/{id_of(1)}", None, 409, "the deployment local/steady serves it"),
    ("GET", "/v1/models/acme/none/versions", None, 404, "There is no model 'acme/none'"),
    ("GET", f"/v1/models/{MODEL}/versions/{id_of(7)}", None, 404, "There is no version"),
    ("POST", f"/v1/models/{MODEL}", None, 405, "takes DELETE, GET, HEAD, PATCH, not POST"),
    ("POST", "/v1/deployments", STEADY, 409, "there is a deployment local/steady already"),
    ("POST", "/v1/deployments", {**STEADY, "name": "model7"}, 409, "push it as a model, and deploy that"),
    ("POST", "/v1/deployments", {**STEADY, "name": "x", "model": "local/model7"}, 409, "deploy that"),
    ("POST", "/v1/deployments", {**STEADY, "name": "x", "version": "0"}, 404, "acme/hello has no version '0'"),
    ("POST", "/v1/deployments", {**STEADY, "name": "x", "min_instances": 3}, 409, "At least 3 and at most 2"),
    ("POST", "/v1/deployments", {**STEADY, "name": "x", "max_instances": 21}, 422, "less than or equal to 20"),
    ("POST", "/v1/deployments", {**STEADY, "name": "x", "max_instances": -1}, 422, "greater than or equal to 0"),
    ("PATCH", "/v1/models/local/model7", {"readme": "x"}, 409, "push it under another name"),
    ("PATCH", "/v1/models/acme/none", {}, 404, "there is no model acme/none"),
    ("PATCH", f"/v1/models/{MODEL}", {"visibility": "public"}, 422, "visibility: Extra inputs are not permitted"),
    ("GET", f"/v1/models/{MODEL}/readme", None, 404, "There is no README of acme/hello here"),
    ("GET", "/v1/models/acme/none/examples", None, 404, "There is no model 'acme/none'"),
    ("GET", "/v1/models?sort_by=name", None, 400, "sort_by is one of model_created_at, latest_version_created_at"),
    ("GET", "/v1/models?sort_direction=up", None, 400, "sort_direction asc or desc"),
    ("GET", "/v1/models?cursor=YmVmb3JlOjE", None, 400, "is not a cursor"),
    ("GET", "/v1/search", None, 400, "query is required"),
    ("GET", "/v1/search?query=a&limit=51", None, 400, "limit '51': give 1 to 50"),
    ("PATCH", DEPLOYMENT, {"version": id_of(9)}, 404, "has no version"),
    ("PATCH", DEPLOYMENT, {"min_instances": 9}, 409, "At least 9 and at most 2"),
    ("PATCH", DEPLOYMENT, {"name": "other"}, 422, "name: Extra inputs"),
    (
        "POST",
        "/v1/deployments",
        {**STEADY, "name": "x", "traffic": [{"version": "a", "weight": 1}]},
        422,
        "either version",
    ),
    ("POST", "/v1/deployments", {**STEADY, "name": "x", "version": None}, 422, "give either version"),
    ("POST", "/v1/deployments", {**STEADY, "name": "x", "sticky": "cookie:a"}, 422, "sticky"),
    ("PATCH", DEPLOYMENT, {"traffic": [{"version": id_of(1), "weight": 0}]}, 422, "greater than 0"),
    ("PATCH", DEPLOYMENT, {"traffic": []}, 422, "at least 1 item"),
    ("PATCH", DEPLOYMENT, {"traffic": [{"version": id_of(1), "weight": 1}] * 2}, 409, "is given twice"),
    ("PATCH", "/v1/deployments/local/none", {}, 404, "there is no deployment local/none"),
    ("PATCH", "/v1/deployments/local/model7", {}, 409, "is served from its folder"),
    ("DELETE", "/v1/deployments/local/none", None, 404, "there is no deployment local/none"),
    ("POST", "/v1/deployments/local/none/predictions", {}, 404, "There is no deployment 'local/none' here"),
    ("POST", f"{DEPLOYMENT}/predictions", {"version": id_of(1)}, 422, "names a deployment; leave version out"),
)


def test_what_cannot_be_done_changes_nothing_and_says_why(tmp_path):
    async def scenario(client):
        async def whole():
            return [(await client.get(path)).json() for path in ("/v1/models", "/v1/deployments")]

        await client.post("/v1/deployments", json=STEADY)
        before = await whole()
        for method, url, body, status, words in REFUSED:
            answer = await client.request(method, url, json=body)
            problem = answer.json()
            assert (answer.status_code, problem["status"]) == (status, status), (method, url, body, problem)
            assert words in problem["detail"]
        assert await whole() == before

    over_http(tmp_path, scenario, 1, 2)


def test_without_a_registry_there_is_nothing_to_change(tmp_path):
    async def scenario(client):
        for url, body in (("/v1/models", NEW_MODEL), ("/v1/deployments", STEADY)):
            answer = await client.post(url, json=body)
            assert (answer.status_code, "without a registry" in answer.json()["detail"]) == (409, True)

    over_http(tmp_path, scenario, registry=False)


def test_the_plain_routes_are_for_the_only_model(tmp_path):
    async def scenario(client):
        assert (await client.get("/health")).json()["status"] == "empty"
        refused = await client.post("/predict", json={"input": {"prompt": "a"}})
        assert (refused.status_code, "Nothing has been pushed" in refused.json()["detail"]) == (404, True)
        registered(tmp_path, 1)
        assert (await client.get("/health")).status_code == 200
        assert (await client.post("/predict", json={"input": {"prompt": "a"}})).json()["output"] == ["a"]
        registered(tmp_path, 1, model="acme/other")
        refused = await client.post("/predict", json={"input": {"prompt": "a"}})
        assert (refused.status_code, "serves 2 models" in refused.json()["detail"]) == (404, True)
        assert (await client.get("/health")).json()["status"] == "ready"
        metrics = (await client.get("/metrics")).text
        labels = f'deployment="",model_name="{MODEL}",status="succeeded",version="{id_of(1)}"'
        assert f"pilotlight:requests_total{{{labels}}} 1.0" in metrics.splitlines()

    over_http(tmp_path, scenario, versions=[])


def test_the_predictions_of_a_deployment_reach_all_its_versions_and_are_counted_apart(tmp_path):
    weights = (Share(id_of(1), 3.0), Share(id_of(2), 1.0))

    async def scenario(client):
        registry = client.gateway.catalog.registry
        Deployments(registry).create(Deployment("local/steady", MODEL, weights, "cpu", 0, 2, 5.0))
        url, body = f"{DEPLOYMENT}/predictions", {"input": {"prompt": "a"}}
        made = [(await client.post(url, json=body, headers={"Prefer": "wait"})).json() for _ in range(60)]
        found = Counter(one["version"] for one in made)
        assert {one["status"] for one in made} == {"succeeded"}
        # All 60 draws of 3 to 1 on one side: once in 30 million runs.
        assert found.keys() == {id_of(1), id_of(2)}
        # One user stays on one version.
        ask = {"model": "local/steady", "prompt": "a", "user": "anna"}
        answers = [(await client.post("/openai/v1/completions", json=ask)).json() for _ in range(10)]
        (print_of_anna,) = {answer["system_fingerprint"] for answer in answers}
        found[next(version for version in found if print_of_anna == f"fp_{version[:12]}")] += 10
        shown = {
            (one["version"], one["deployment"]): (one["ended"]["succeeded"], one["traffic_share"])
            for one in (await client.get("/status")).json()["versions"]
            if one["model"] == MODEL
        }
        assert shown == {
            (id_of(1), "local/steady"): (found[id_of(1)], 0.75),
            (id_of(2), "local/steady"): (found[id_of(2)], 0.25),
            (id_of(2), None): (0, 1.0),
        }
        metrics = (await client.get("/metrics")).text.splitlines()
        for version, count in found.items():
            labels = f'deployment="local/steady",model_name="{MODEL}",status="succeeded",version="{version}"'
            assert f"pilotlight:requests_total{{{labels}}} {float(count)}" in metrics

    over_http(tmp_path, scenario, 1, 2)


def test_names_hold_nothing_that_a_path_or_a_url_would_read_otherwise():
    assert NAME_PATTERN == "^[a-z0-9][a-z0-9._-]{0,99}$"
