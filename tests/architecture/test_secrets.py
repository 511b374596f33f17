"""No secret lies in the repository: whoever clones it learns nothing but examples."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).parents[2]
# The hashes of a lock look like keys.
LOCK = "requirements.lock"
# Not the word "password" beside another: every other test has one.
SOUGHT = [
    "AWSKeyDetector",
    "Base64HighEntropyString",
    "BasicAuthDetector",
    "GitHubTokenDetector",
    "HexHighEntropyString",
    "JwtTokenDetector",
    "PrivateKeyDetector",
    "SlackDetector",
    "StripeDetector",
]
# What looks like a secret and opens nothing: words in example addresses, and examples of tokens,
# cursors and ids in the documentation of the API.
EXAMPLES = frozenset(
    {
        "password",
        "change-me",
        "huntaze",
        "local",
        "hidden",
        "wrong",
        "word",
        "pw",
        "abcdefghjkmnpqrstuvwxyz23456789",
        "0d5a6a1f6f6b4d0c",
        "5b1a0c5f7f6a4a4d9b53f0f1f3b0e9a1",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.",
        "eyJhbGciOiJub25lIn0.e30.",
        "WyJjb252ZXJzYXRpb25zIiwiMjAyNS0xMS0wMVQxMjowMDowMCswMDowMCIsMV0",
        "WyJ0aHJlYWQiLCIyMDI1LTExLTAxVDEyOjAwOjAwKzAwOjAwIiwyXQ",
    }
)


def secrets(*files: Path) -> Iterator[str]:
    """Where each lies and what it looks like; never the secret itself: this is printed."""
    with transient_settings({"plugins_used": [{"name": name} for name in SOUGHT]}):
        for file in files:
            for found in scan_file(str(file)):
                if found.secret_value not in EXAMPLES:
                    yield f"{file}:{found.line_number}: {found.type}"


def test_no_secret_lies_in_the_repository() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    files = [ROOT / name for name in listed if name not in {"", LOCK}]
    files = [file for file in files if file.is_file()]
    assert len(files) > 100
    assert list(secrets(*files)) == []


@pytest.mark.parametrize(
    "line",
    [
        "AWS_ACCESS_KEY_ID=AKIA" + "Z7QX2LMN4PRS6TUV",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "https://huntaze:" + "Tr0ub4dor@db.example/huntaze",
        'key = "' + "q7Rk2ZxV9mTb4WcY" + '8LpD3sHg6NfJ1eQa"',
    ],
    ids=["access key", "private key", "address with a password", "many random letters"],
)
def test_a_secret_would_be_found(tmp_path: Path, line: str) -> None:
    file = tmp_path / "settings.py"
    file.write_text(f"{line}\n")
    assert len(list(secrets(file))) == 1
