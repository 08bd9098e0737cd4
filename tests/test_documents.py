"""What people read holds: commands, options, links, paths. And the walker sees what does not."""

import subprocess
from pathlib import Path

import pytest
from documents import documents, problems
from documents.options import make_targets

ROOT = Path(__file__).resolve().parents[1]
READ = documents(ROOT)


@pytest.mark.parametrize("document", READ, ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_in_it_exists(document):
    assert [str(problem) for problem in problems(document, ROOT)] == []


def test_nothing_that_people_read_is_left_out():
    names = {str(path.relative_to(ROOT)) for path in READ}
    assert names >= {
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/oai.md",
        "monai_app/docs/server.md",
        "monai_app/docs/security.md",
        "monai_app/docs/deploy/nginx.conf",
        "monai_app/model/knee_xr2mri/docs/README.md",
        "monai_app/model/knee_xr2mri/models/model_card.md",
        "xr2mri_core/localization/model_card.md",
        "xr2mri_core/transforms/polarity.md",
        "slicer_extension/XR2MRI/Resources/UI/XR2MRI.ui",
        "slicer_extension/XR2MRI/xr2mri_client/jobs.py",
    }


def test_the_help_of_make_names_targets_that_exist():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    named = {line.split()[1] for line in said.stdout.splitlines() if line.startswith("make ")}
    assert named <= make_targets(ROOT) and {"demo", "test", "serve", "lint"} <= named


def found(tmp_path: Path, text: str, name: str = "sample.md") -> str:
    sample = tmp_path / name
    sample.write_text(text, "utf-8")
    return "\n".join(problem.what for problem in problems(sample, ROOT))


GOOD = """
# A title, with `code`

Text with `--radiograph`, `--guidance#demographics True`, `xr2mri oai index`, `make serve`,
`docs/oai.md`, `data/anything`, `POST /infer/{model}` and a [link](#a-title-with-code).

```sh
make serve STUDIES=/data/studies OPTIONS="--port 8001"
.venv/bin/xr2mri generate --radiograph knee.dcm --features features.json --out out/
git clone ... && cd xr2mri && make env
. .venv/bin/activate
B=monai_app/model/knee_xr2mri; C=$B/configs    # a comment
python -m monai.bundle run --bundle_root $B \\
    --config_file "['$C/training.yaml','$C/train_diffusion.yaml','$C/compact.yaml']" \\
    --steps 5 --autoencoder_dir '$None' --guidance#demographics True
python -m monai_app.lib.security.users add ada --role user
curl -F file=@knee.dcm 'http://127.0.0.1:8000/infer/knee_xr2mri?output=image' -o volume.nii
```

```python
from xr2mri_core.generation import KneeMRIGenerator
```

The tree:

    xr2mri_core/     the science, and so on
      transforms/    of radiographs: radiograph_file.py
      files.py  cli/
    docs/
"""


def test_what_is_right_passes(tmp_path):
    assert found(tmp_path, GOOD) == ""


BUNDLE = ".venv/bin/python -m monai.bundle run --config_file"
CONFIGS = "monai_app/model/knee_xr2mri/configs"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (".venv/bin/nosuch --help", "nosuch: no such command"),
        ("nosuch start", "nosuch"),
        ("tools/nosuch.sh", "tools/nosuch.sh: no such program"),
        ("xr2mri info", "write .venv/bin/xr2mri"),
        ("monailabel start_server --app a", "write .venv/bin/monailabel"),
        (".venv/bin/xr2mri generrate --out o", "no command generrate"),
        (".venv/bin/xr2mri oai indx", "no command indx"),
        (".venv/bin/xr2mri generate --radiograph k --out o --nosuch 1", "no option --nosuch"),
        (".venv/bin/xr2mri generate --radiograph k", "required: --out"),
        (".venv/bin/xr2mri generate --radiograph k --out o --precision fp64", "invalid choice"),
        (".venv/bin/xr2mri phantom --cases none --out o", "is not an integer"),
        (".venv/bin/monailabel start --app a", "no command start"),
        (".venv/bin/monailabel start_server --apps a", "no option --apps"),
        (".venv/bin/monailabel start_server --conf nosuch 1", "no setting nosuch"),
        ("make sevre", "no target sevre"),
        ("make serve STUDY=/data", "no variable STUDY"),
        (".venv/bin/python -m xr2mri_core.nosuch", "no such module"),
        (".venv/bin/python -m monai_app.lib.security.nosuch list", "no such module"),
        (".venv/bin/python tests/nosuch.py", "no such file"),
        (".venv/bin/python benchmarks/bench.py --nosuch", "no option --nosuch"),
        (f"{BUNDLE} {CONFIGS}/nosuch.yaml", "no file"),
        (f"{BUNDLE} {CONFIGS}/train_diffusion.yaml --nosuch 1", "nosuch is no key"),
        (f"{BUNDLE} {CONFIGS}/compact.yaml --unet#nosuch 1", "unet#nosuch is no key"),
        (f"{BUNDLE.replace('run', 'nosuch')} a.yaml", "no command"),
        (f"{BUNDLE.replace('run', 'run nosuch')} {CONFIGS}/compact.yaml", "nosuch is no key"),
        (". .venv/bin/activate; torchrun --nosuch 2 -m monai.bundle run", "no option --nosuch"),
        (".venv/bin/python $B/tools.py", "$B is set nowhere before"),
        ("cd nosuch", "no such folder"),
        ("curl http://127.0.0.1:8000/nosuch", "no route /nosuch"),
    ],
)
def test_a_wrong_command_is_seen(tmp_path, typed, said):
    assert said in found(tmp_path, f"```sh\n{typed}\n```\n")
    assert said in found(tmp_path, f"Type\n\n    make help\n    {typed}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("`xr2mri generate --nosuch`", "no option --nosuch"),
        ("`xr2mri nosuch`", "no command nosuch"),
        ("`make nosuch`", "no target nosuch"),
        ("`--nosuch 3`", "no command has the option --nosuch"),
        ("`guidance 1, --guidance#nosuch True`", "--guidance#nosuch"),
        ("`python -m xr2mri_core.nosuch`", "no such module"),
        ("`monailabel nosuch`", "no command nosuch"),
        ("`xr2mri_core/nosuch.py`", "no such path"),
        ("`monai_app/docs/nosuch/`", "no such path"),
        ("`PUT /infer/{model}`", "no route"),
        ("`/nosuch`", "no route"),
        ("[here](nosuch.md)", "broken link"),
        ("![here](nosuch.png)", "broken link"),
        ("[here](#nosuch)", "no such heading"),
        ("    docs/\n      oai.md   words\n      nosuch.md", "the tree has no docs/nosuch.md"),
        ("    xr2mri_core/   words\n      files.py  nosuch/", "has no xr2mri_core/nosuch"),
        ("| a |\n|---|\n| [here](nosuch.md) |", "broken link"),
        ("```python\nfrom xr2mri_core.nosuch import x\n```", "no module"),
        ("```python\nfrom xr2mri_core.generation import NoSuch\n```", "has no NoSuch"),
    ],
)
def test_a_fault_of_prose_is_seen(tmp_path, text, said):
    assert said in found(tmp_path, f"# Title\n\n{text}\n")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sample.py", 'raise ValueError("start it with --nosuch 3")'),
        ("sample.py", 'raise ValueError(f"{name}: give --nosuch")'),
        ("sample.py", '"""Made by ``xr2mri --nosuch``."""'),
        ("sample.py", '"""Made by\n\n    xr2mri phantom --nosuch 3 --out o\n"""'),
        ("sample.ui", "<ui><string>Start it with --nosuch</string></ui>"),
        ("sample.conf", "# Start it:\n#\n#   .venv/bin/monailabel start_server --nosuch\n"),
    ],
)
def test_sources_forms_and_configurations_are_read_too(tmp_path, name, text):
    assert "--nosuch" in found(tmp_path, text, name)
