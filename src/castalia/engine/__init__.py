"""Runs stages and knows no domain: their identity, their state, their order, their accounting."""

from castalia.engine.asking import told
from castalia.engine.events import Event, OracleAsking, OracleStopping, StageAdvanced, StageFinished, StageSkipped, StageStarted
from castalia.engine.fingerprint import RoleIdentity
from castalia.engine.plan import PlannedStage, Price, plan
from castalia.engine.plugins import load_plugin, plugin_identity, plugin_stages
from castalia.engine.runner import RunReport, StageReport, run_pipeline
from castalia.engine.stage import ExecutingParams, Params, Stage
from castalia.engine.state import StageState, stage_state

__all__ = [
    "Event", "ExecutingParams", "OracleAsking", "OracleStopping", "Params", "PlannedStage", "Price", "RoleIdentity", "RunReport", "Stage",
    "StageAdvanced", "StageFinished", "StageReport", "StageSkipped", "StageStarted", "StageState", "load_plugin", "plan", "plugin_identity",
    "plugin_stages", "run_pipeline", "stage_state", "told",
]  # fmt: skip
