"""What the processes of a stack are told by their environment."""

from __future__ import annotations

import os
from pathlib import Path

from core.settings import AlertingSettings, Settings
from newstide.stack.plan import Plan, stack_children


def test_alerting_tells_whom_the_stack_s_settings_name_and_nobody_else(tmp_path: Path) -> None:
    def told(alerting: AlertingSettings) -> dict[str, str]:
        children = stack_children(Settings(alerting=alerting), Plan(1), tmp_path)
        (environment,) = (child.environment for child in children if child.name == "alerts")
        return {name: value for name, value in environment.items() if "WEBHOOK_URL" in name or "RULES" in name}

    nobody = {"NEWSTIDE_ALERTING__WEBHOOK_URL": "", "NEWSTIDE_ALERTING__RULES": os.devnull}
    assert told(AlertingSettings(rules=Path(os.devnull))) == nobody
    assert told(AlertingSettings(webhook_url="http://x.test/")) == {"NEWSTIDE_ALERTING__WEBHOOK_URL": "http://x.test/"}
