"""What a failed step of an installation is said to be, from the words of uv and pip."""

from __future__ import annotations

import pytest

from xr2mri_client.install_faults import why_it_failed


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("error: failed to write: No space left on device (os error 28)", "disk is full"),
        ("ERROR: Tunnel connection failed: 407 Proxy Authentication Required", "HTTPS_PROXY"),
        ("error: invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
        ("error: No interpreter found for Python 3.11 in managed installations", "python.org"),
        ("error: Request failed after 3 retries; dns error", "network is not there"),
        (
            "error: Failed to fetch: `x`\n  cause: HTTP status client error (404 Not Found) for x",
            "not for you: HTTP status client error (404",
        ),
        ("  \u2570\u2500\u25b6 Because tqdm was not found in", "missing: Because tqdm"),
        ("  cause: Because tqdm was not found in", "missing: Because tqdm"),
        ("error: something else", "error: something else"),
        ("error: no build\n  cause: a\nhint: `b` was included", "error: no build"),
        ("  cause: Timeout: is another uv process running?", "Another program is installing"),
    ],
)
def test_a_step_that_fails_says_what_to_mend(line, said):
    assert said in str(why_it_failed(["Resolved 3 packages", *line.split("\n")], 2))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "error: Failed to install: torch.whl\n  cause: Access is denied. (os error 5)",
            "torch.whl",
        ),
        ("error: failed to open `/mnt/network/407.6/via.cfg`: Permission denied", "failed to open"),
        (
            "  \u00d7 No solution found:\n  Because networkx was not found in the",
            "is missing: Beca",
        ),
    ],
)
def test_neither_names_nor_sizes_of_packages_are_taken_for_a_fault(line, said):
    """And a step that failed for another reason is not tried again from another index."""
    before = ["Downloading networkx (1.9MiB)", "Downloading cublas (407.6MiB)", "Proxy (1MiB)"]
    error = why_it_failed([*before, *line.split("\n")], 2)
    assert said in str(error) and not error.passing


def test_one_that_was_killed_says_so_whatever_it_had_printed():
    error = why_it_failed(["Downloading networkx (1MiB)", "error: no space left"], -9)
    assert "was killed" in str(error) and not error.passing


def test_what_pip_says_of_the_network_comes_before_its_error():
    lines = ["WARNING: Retrying (Retry(total=0)): Temporary failure in name resolution", "",
             "ERROR: Could not find a version that satisfies the requirement uv (from versions: )",
             "ERROR: No matching distribution found for uv"]  # fmt: skip
    assert "network is not there" in str(why_it_failed(lines, 1))


def test_a_wheel_is_added_to_a_folder_only_where_one_was_chosen():
    line = "  cause: Because torch==2.14.1 has no wheels with a matching platform tag (e.g., `x`)"
    lines = ["error: No solution found when resolving dependencies", line]
    assert str(why_it_failed(lines, 1, offline=True)).endswith("Add its wheel to the folder.")
    assert str(why_it_failed(lines, 1)).endswith("Use a server elsewhere.")
    lines = ["error: No solution found", "  cause: Because x was not found in the package registry"]
    assert "folder" not in str(why_it_failed(lines, 1))
