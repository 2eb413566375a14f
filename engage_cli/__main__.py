"""`python -m engage_cli`, which is also what torchrun starts."""

from engage_cli.main import app

app(prog_name="engage")
