"""``pilotlight token`` as a command."""

import httpx2

from pilotlight.cli import run
from tests.cog.gateway_process import gateway_process


def token(capsys, home, *args):
    status = run(["token", *args, "--home", str(home)])
    return status, *capsys.readouterr()


def test_made_listed_and_revoked(capsys, tmp_path):
    status, made, said = token(capsys, tmp_path, "create", "website")
    assert (status, made[:4], "shown only this once" in said) == (0, "plt_", True)
    assert token(capsys, tmp_path, "create", "deployer", "--scope", "admin")[0] == 0
    status, listed, _ = token(capsys, tmp_path, "list")
    assert [line.split()[1::2] for line in listed.splitlines()] == [["predict", "website"], ["admin", "deployer"]]
    assert made.strip() not in listed
    assert token(capsys, tmp_path, "revoke", "website")[0] == 0
    status, _, said = token(capsys, tmp_path, "revoke", "website")
    assert (status, "no token has the id or the name" in said) == (2, True)


def test_a_gateway_with_tokens_asks_for_one_and_heeds_a_change(capsys, tmp_path):
    _, made, _ = token(capsys, tmp_path, "create", "first")
    headers = {"Authorization": f"Bearer {made.strip()}"}
    with gateway_process(tmp_path, "run_text", args=["--host", "0.0.0.0"]) as process:
        url = process.url.replace("0.0.0.0", "127.0.0.1") + "/v1/models"
        assert httpx2.get(url, timeout=120).status_code == 401
        assert httpx2.get(url, headers=headers, timeout=120).status_code == 200
        _, second, _ = token(capsys, tmp_path, "create", "second")
        token(capsys, tmp_path, "revoke", "first")
        assert httpx2.get(url, headers=headers, timeout=120).status_code == 401
        headers = {"Authorization": f"Bearer {second.strip()}"}
        assert httpx2.get(url, headers=headers, timeout=120).status_code == 200
        assert "Bearer TOKEN" in "".join(process.lines)
