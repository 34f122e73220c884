"""A model server on loopback that speaks every wire format of this package, misbehaves on command and keeps its own bill.

For the tests and benchmarks of Castalia, and for yours: `python -m castalia.oracle.scripted`, or in a test

    async with scripted_server(lambda number, text: Act(text='{"x": 1}')) as server:
        RoleConfig(provider="openai", base_url=server.openai, model="m")
"""

from castalia.oracle.scripted.acts import FAULTS, Act, RateLimit, Rule, Script, script_of
from castalia.oracle.scripted.server import Bill, Server, scripted_server

__all__ = ["FAULTS", "Act", "Bill", "RateLimit", "Rule", "Script", "Server", "script_of", "scripted_server"]
