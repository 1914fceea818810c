"""Write the pages of the events in ``pages`` anew.

    python tests/golden/write_pages.py

The events and regimes are what the hedge once put out; they stay as they are when it changes. Look at the difference
of the pages before you keep it.
"""

from __future__ import annotations

from pathlib import Path

from processors.explain import explain_text
from topics.rebalance import Rebalance
from topics.regime import Regime

HERE = Path(__file__).parent / "pages"

for path in sorted(HERE.glob("*.event.json")):
    name = path.name.removesuffix(".event.json")
    event = Rebalance.model_validate_json(path.read_bytes())
    regime = Regime.model_validate_json((HERE / f"{name}.regime.json").read_bytes())
    (HERE / f"{name}.txt").write_text(explain_text(event, regime))
