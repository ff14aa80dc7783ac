"""Which values of an environment are secret, and which are not, one row each."""

import sys
from pathlib import Path

import pytest
from hostile_lab import SUITE, command, write_project
from test_hostile_secrets import forms, texts

from evalkit.systems.secret_values import secret_values
from evalkit.systems.secrets import SHORTEST, redact, secrets_of

# ruff: noqa: E501, S108

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7vZ3kQ9sX2hT8wLr\nq0Yb5NfJ1cVdGmWz4uPoKe6iRtAx\n-----END RSA PRIVATE KEY-----"
SECRET = [
    ("DATABASE_URL", "postgres://app:wren-5512@db.example.com:5432/app", "wren-5512"),
    ("REDIS_URL", "redis://:finch88x@cache.example.com:6379/0", "finch88x"),
    ("MONGO_URI", "mongodb+srv://reader:t%40nager7@cluster0.example.net/test", "t@nager7"),
    ("AMQP_URL", "amqp://svc:heron_41@mq.example.com//", "heron_41"),
    ("ODD_DB", "postgres://app:st/or#k9?@db.example.com/app", "st/or#k9?"),
    ("HTTPS_PROXY", "http://jo:kestrel3@proxy.example.com:3128", "kestrel3"),
    ("HTTP_PROXY", "http://jo:kestrel4@proxy.example.com:3128", "jo:kestrel4"),
    ("ALL_PROXY", "socks5://jo:kestrel5@proxy.example.com:1080", "kestrel5"),
    ("PIP_EXTRA_INDEX_URL", "https://__token__:grebe77aa@pypi.example.com/simple", "grebe77aa"),
    ("GIT_REMOTE", "https://a8Kd92LmQz71Xc4VbN30@git.example.com/x.git", "a8Kd92LmQz71Xc4VbN30"),
    ("SENTRY_DSN", "https://0123456789abcdef0123456789abcdee@o1.example.io/42", "0123456789abcdef0123456789abcdee"),
    ("SLACK_WEBHOOK_URL", "https://hooks.slack.example/services/T012/B345/q8Wx2Lk9ZrTt61Vb", "T012/B345/q8Wx2Lk9ZrTt61Vb"),
    ("NOTIFY_AT", "https://hooks.example.com/services/T012/B345/q8Wx2Lk9ZrTt61Vc", "q8Wx2Lk9ZrTt61Vc"),
    ("DISCORD_WEBHOOK", "https://chat.example.com/api/webhooks/1234/plover", None),
    ("AWS_ACCESS_KEY_ID", "AKIAQ7ZK3M5N8P2R4T6V", None),
    ("AWS_SECRET_ACCESS_KEY", "wJalr/K7MDENG+bPxRfiCYzz9QkLmN3tUvWxYz01", None),
    ("AWS_SESSION_TOKEN", "IQoJb3JpZ2luX2VjEXAMPLE0123", None),
    ("KEY_ID_OF_CLOUD", "ASIAQ7ZK3M5N8P2R4T6V", None),
    ("HF_TOKEN_READ", "hf_plain", None),
    ("GITHUB_TOKEN", "ghs_0123456789abcdefghij0123456789abcdef", None),
    ("GH_PAT", "curlew-19", None),
    ("OPENAI_API_KEY", "sk-proj-0a1b2c3d4e5f6g7h8i9j", None),
    ("OPENAI_KEY_2", "sk-0a1b2c3d4e5f6g7h8i9j", None),
    ("ANTHROPIC_API_KEY", "sk-ant-0a1b2c3d4e5f6g7h8i9j", None),
    ("SLACK_BOT", "xoxb-1234567890-abcdef", None),
    ("STRIPE", "sk_live_0123456789abcdefABCD", None),
    ("HOOK_CHECK", "whsec_0123456789abcdefABCD", None),
    ("GOOGLE", "AIza0123456789abcdefghijABCDEFGHIJ", None),
    ("SENDGRID", "SG.0123456789abcdef.0123456789abcdefGH", None),
    ("NPM", "npm_0123456789abcdefghijABCDEFGHIJ0123", None),
    ("GITLAB", "glpat-0123456789abcdefGHIJ", None),
    ("IDENTITY", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLW9mLWl0", None),
    ("DB_PASSWORD", "hunter22", None),
    ("DB_PASSWD", "hunter23", None),
    ("MYSQL_PWD", "hunter24", None),
    ("PGPASSWORD", "swordfish", None),
    ("SMTP_PASS", "lapwing", None),
    ("SSH_PASSPHRASE", "four plain small words", None),
    ("DjangoSecretKey", "django-insecure-abc", None),
    ("apiKey", "linnet-01", None),
    ("my-auth-token", "linnet-02", None),
    ("CLIENT_SECRET", "linnet03", None),
    ("CLIENT_SECRET_VALUE", "linnet04", None),
    ("NPM_CONFIG__AUTH", "bGlubmV0OjA1", None),
    ("BASIC_AUTH", "jo:linnet06", None),
    ("AUTH_HEADER", "Bearer linnet-07-token", "linnet-07-token"),
    ("EXTRA_HEADERS", "Authorization: Basic am86bGlubmV0MDg=", "linnet08"),
    ("GOOGLE_CREDENTIALS", '{"client_email": "a@b.example", "private_key_id": "linnet09"}', "linnet09"),
    ("SERVICE_ACCOUNT", '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\nMIIEpAIBAAKCAQEA7vZ3\\n"}', "MIIEpAIBAAKCAQEA7vZ3"),
    ("SSH_PRIVATE_KEY", PEM, "q0Yb5NfJ1cVdGmWz4uPoKe6iRtAx"),
    ("DEPLOY_IDENTITY", PEM, "MIIEpAIBAAKCAQEA7vZ3kQ9sX2hT8wLr"),
    ("AZURE_STORAGE_CONNECTION_STRING", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=bGlubmV0MTA=;X=y", "bGlubmV0MTA="),
    ("SQL_CONN_STR", "Server=db;User Id=app;Password=linnet11;", "linnet11"),
    ("MSSQL", "Server=db;User Id=app;Password=linnet12;", "linnet12"),
    ("BLOB_URL", "https://a.example.net/c/f.csv?sv=2024-01-01&sig=lin%2Bnet13", "lin+net13"),
    ("BLOB_SAS", "sv=2024-01-01&se=2026&sig=linnet14", "linnet14"),
    ("FEED", "https://feed.example.com/x?api_key=linnet15&page=2", "linnet15"),
    ("SESSION_COOKIE", "sid=linnet16", None),
    ("FLASK_SESSION", "Linnet17", None),
    ("DJANGO_SIGNATURE", "Linnet18:x", None),
    ("WEBHOOK_SIGNING", "linnet 19", None),
    ("LICENSE", "q8Wx2Lk9ZrTt61VbNm5Ya", None),
    ("MY_THING", "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a", None),
    ("SOMETHING", "Zm9vYmFyQmF6MTIzNDU2Nzg5MGFiY2RlZg==", None),
    ("ENCRYPTION_KEY", "86868686", None),
    ("VAULT", "hvs.0123456789abcdefghijABCD", None),
    ("JWT_SIGNER", "linnet-20", None),
]  # fmt: skip
NOT_SECRET = [
    ("PATH", "/usr/local/bin:/usr/bin:/nix/store/9zx1k4m8q2w7r5t3y6p0s1d2f3g4h5j6-bin/bin"),
    ("HOME", "/home/runner"), ("PWD", "/home/runner/work/app"), ("OLDPWD", "/home/runner/work"), ("LANG", "en_GB.UTF-8"),
    ("SHELL", "/bin/bash"), ("TERM", "xterm-256color"), ("USER", "administrator"), ("LOGNAME", "runner-user"),
    ("HOSTNAME", "myapp-7d9f8b6c5d4a3b2c1d0e-x2x4z"), ("GITHUB_SHA", "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a"),
    ("CI_COMMIT_SHA", "0f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a"), ("GITHUB_RUN_ID", "16482390112"),
    ("RUN_ID", "20260703T102241Z-7c1e42ab90"), ("TRACE_ID", "4bf92f3577b34da6a3ce929d0e0e4736"),
    ("INVOCATION_ID", "4bf92f3577b34da6a3ce929d0e0e4736"), ("REQUEST", "123e4567-e89b-12d3-a456-426614174000"),
    ("GITHUB_REPOSITORY", "example-org/example-app"), ("GITHUB_REF", "refs/heads/feature/token-limits"),
    ("GITHUB_SERVER_URL", "https://github.example.com"), ("RUNNER_TEMP", "/home/runner/work/_temp"),
    ("GITHUB_STEP_SUMMARY", "/home/runner/_temp/step_summary_ddba0f2c9e8b7a6d5c4f3e2d1c0b9a8f"),
    ("DB_PASSWORD", "postgres"), ("ADMIN_PASSWORD", "admin"), ("POSTGRES_PASSWORD", "password"), ("API_KEY", "changeme"),
    ("AUTH_TOKEN", "true"), ("SECRET", "none"), ("DATABASE_HOST", "localhost"), ("DATABASE_URL", "postgres://localhost:5432/app"),
    ("OPENAI_BASE_URL", "https://api.example.com/v1"), ("TOKEN_URL", "https://login.example.com/oauth2/token"),
    ("AUTH_URL", "https://login.example.com/authorize"), ("HTTP_PROXY", "http://proxy.example.com:3128"),
    ("NO_PROXY", "localhost,127.0.0.1,.example.com"), ("MAX_TOKENS", "100000"), ("TOKENS", "128000"),
    ("TOKEN_LIMIT", "1000000"), ("TOKENIZERS_PARALLELISM", "disabled"), ("TOKENIZER", "cl100k_base"),
    ("KEYBOARD_LAYOUT", "qwertz"), ("MONKEY", "banana"), ("PRIMARY_KEY", "customer_id"), ("SORT_KEY", "created_at"),
    ("PUBLIC_KEY", "ssh-rsa"), ("DESKTOP_SESSION", "ubuntu-xorg"), ("XDG_SESSION_TYPE", "wayland"),
    ("XDG_SESSION_ID", "c123456"), ("SSH_AUTH_SOCK", "/tmp/ssh-XXabcd/agent.1234"), ("AUTH_MODE", "oauth2-proxy"),
    ("API_KEY_FILE", "/run/secrets/api_key"), ("API_KEY_HEADER", "X-Api-Key"), ("SECRET_NAME", "prod/database"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "/home/runner/gcloud.json"), ("COOKIE_DOMAIN", "example.com"),
    ("SESSION_TIMEOUT", "3600000"), ("PASSWORD_MIN_LENGTH", "12345678"), ("PRIVATE", "yes-please"),
    ("AUTHOR", "Jo Bloggs"), ("COMPASS", "north-east"), ("PATTERN", "London"), ("PYTHONPATH", "./src"),
    ("LS_COLORS", "rs=0:di=01;34:ln=01;36:*.tar=01;31:*.tgz=01;31"), ("IMAGE_VERSION", "20231016.1.0"),
    ("JAVA_OPTS", "-Xmx2048m -XX:+UseG1GC -Dfile.encoding=UTF-8"), ("CITY", "London"), ("MODEL", "claude-sonnet-4-20250514"),
    ("CFLAGS", "-O2 -g -march=x86-64-v3 -mtune=generic"), ("DISPLAY", "unix:0.0-display"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "part"), SECRET, ids=[name for name, _, _ in SECRET])
def test_a_secret_and_its_parts_are_known(name: str, value: str, part: str | None) -> None:
    """As a whole, and where it can appear alone, by the part."""
    assert value in secret_values({name: value})
    said = f"refused: {part or value}!"
    assert (part or value) not in redact(said, secrets_of({name: value}))


@pytest.mark.parametrize(
    ("name", "value"), NOT_SECRET, ids=[f"{name}-{number}" for number, (name, _) in enumerate(NOT_SECRET)]
)
def test_a_value_that_hides_nothing_stays(name: str, value: str) -> None:
    """An answer that holds it, or a word of it, is kept as it is."""
    assert secret_values({name: value}) == set()
    assert redact(value, secrets_of({name: value})) == value


def test_the_tables_are_long_enough() -> None:
    """At least 60 secrets and 40 others, each once."""
    assert len({name + value for name, value, _ in SECRET}) == len(SECRET) >= 60
    assert len(set(NOT_SECRET)) == len(NOT_SECRET) >= 40


def test_words_of_a_url_stay() -> None:
    """Its host, its user and its database are ordinary words."""
    secrets = secrets_of({"DATABASE_URL": "postgres://postgres:wren-5512@localhost:5432/orders"})
    said = "postgres on localhost, port 5432, has the table orders"
    assert redact(said, secrets) == said


def test_what_a_suite_names_is_secret_unless_it_hides_nothing() -> None:
    """The suite says that the variable is one; a plain address is still none."""
    env = {"NAMED": "p/ss word", "BASE": "http://localhost:8000/v1", "WHO": "admin"}
    assert secret_values(env, env.keys()) == {"p/ss word"}


LEAKY = """\
import base64, json, os, sys, urllib.parse

def answer(input: str, id: str):
    value = os.environ[input]
    mode = id.rpartition(":")[2]
    if mode == "raise":
        try:
            raise ValueError(value)
        except ValueError as error:
            raise RuntimeError("cannot use " + repr(value)) from error
    if mode == "print":
        print("value", value)
        print("value", value, file=sys.stderr)
        sys.stderr.write(json.dumps({value: value}) + "\\\\n")
    if mode == "keys":
        return {"text": "x", "of " + value: 1}
    if mode == "encoded":
        data = value.encode()
        forms = [urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value), json.dumps(value), data.hex()]
        return " ".join([*forms, base64.b64encode(data).decode(), base64.b64encode(b"u:" + data).decode()])
    steps = [{"name": value, "arguments": {value: [value, {"x": value}]}}]
    return {"text": "got " + value, "contexts": [value], "tool_calls": steps, "trajectory": [{value: value}],
            "usage": {"model": value}}
"""
SCRIPT = """\
import json, os, sys

asked = json.load(sys.stdin)
value = os.environ[asked["input"]]
print("failed with", value, file=sys.stderr)
if asked["id"].endswith(":raise"):
    sys.exit(3)
print(json.dumps({"text": value, "tool_calls": [{"name": "f", "arguments": {value: value}}]}))
"""


def leaks(root: Path, ignored: set[Path]) -> list[str]:
    """Every form of a secret, or of a part of one, in any file."""
    wanted = {form for _, value, part in SECRET for each in (value, part) if each for form in forms(each)}
    # Two characters of base64 at each end are shared with what is beside them, and may leave nothing to look for.
    wanted = {form for form in wanted if len(form) >= SHORTEST}
    return [f"{form} in {name}" for name, text in texts(root, ignored) for form in wanted if form in text]


@pytest.mark.parametrize(
    ("system", "modes", "names"),
    [
        ('{python: "bot:answer"}', ["text", "raise", "print", "keys", "encoded"], len(SECRET)),
        (f"{{command: [{sys.executable}, script.py]}}", ["text", "raise"], 12),
    ],
    ids=["python", "command"],
)
def test_no_secret_of_the_environment_is_left_anywhere(
    tmp_path: Path, system: str, modes: list[str], names: int
) -> None:
    """Answers, contexts, tool calls, keys, exception texts and both streams: nothing in a file or on the console."""
    cases = [
        {"id": f"c{at}:{mode}", "input": name, "reference": "Paris", "cohorts": {"topic": "t"}}
        for at, (name, _, _) in enumerate(SECRET[:names])
        for mode in modes
    ]
    suite = SUITE.replace('{python: "bot:answer"}', system)
    sources = write_project(tmp_path, bot=LEAKY, suite=suite, cases=cases)
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    env = {name: value for name, value, _ in SECRET}
    secret = env["DB_PASSWORD"]
    streams = ""
    for words in (
        ["run", "suite.yaml", "--out", "run", "--progress", "lines", "--summary", "step.md", "--verbose"],
        ["run", "suite.yaml", "--out", "new", "--case", f"c{secret}"],
        ["baseline", "save", "run", "--accept", "as it is"],
        ["report", "run"],
        ["diff", "run", "run", "--case", "c0:text"],
    ):
        ran = command(tmp_path, *words, env=env)
        assert ran.code in (0, 1, 2, 3, 5), ran
        streams += ran.out + ran.err
    (tmp_path / "streams.txt").write_text(streams, encoding="utf-8")
    assert leaks(tmp_path, {*sources, tmp_path / "script.py"}) == []
    rows = (tmp_path / "run" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == len(cases)
    assert all("***" in row for row in rows if ":print" not in row and ":text" in row)
