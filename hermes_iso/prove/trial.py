"""Trial: one probe's way to its agents: run turns as them, look at the host, and judge what they said."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from hermes_iso.messages import ChatRef, Inbound, Outbound, Progress, Receipt
from hermes_iso.prove.prelude import script
from hermes_iso.prove.probe import BrokenProbeError
from hermes_iso.prove.stage import CANARY_NAME, Stage


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of one probe.

    me, peer: the agent that attacks, and another. mark: a word of this run alone, for names and contents.
    planted: guest code that plays the hole in the self-test; `plays_hole` says whether there is any.
    """

    stage: Stage
    me: str
    peer: str
    mark: str
    planted: str = ""
    shown: list[Progress] = field(default_factory=list)

    @property
    def plays_hole(self) -> bool:
        """True where the self-test has the host play the hole, because no layer can be switched off for it."""
        return bool(self.planted)

    @property
    def workspace(self) -> Path:
        """The attacker's workspace on the host."""
        return self.stage.workspace(self.me)

    async def attack(
        self, attack: str, *, agent: str | None = None, chat: str = "", platform: str = "console", **given: object
    ) -> list[str]:
        """Run guest code as a turn of an agent (the attacker); return the holes that it reports.

        Raises BrokenProbeError when it did not come to its end, so that silence is never a pass.
        """
        return holes_of(await self.turn(attack, agent=agent, chat=chat, platform=platform, **given))

    async def turn(
        self, attack: str, *, agent: str | None = None, chat: str = "", platform: str = "console", **given: object
    ) -> Outbound:
        """Run guest code as a turn and return what came back, an error too. `chat` names the session."""
        agent = agent or self.me
        names = {**self._names(agent), **given}
        planted = self.planted if agent == self.me or agent not in self.stage.agents else ""
        where = ChatRef(platform, f"{self.mark}-{chat}")
        text = script(attack, names, planted)
        return await self.send(Inbound(where, text, platform_id=self.mark, agent=agent, history=()))  # nothing of it is kept

    async def send(self, inbound: Inbound) -> Outbound:
        """Send a message through the gateway's line and return the answer; what is shown before it is kept in `shown`."""
        answers: list[Outbound] = []

        async def deliver(outbound: Outbound) -> Receipt:
            answers.append(outbound)
            return Receipt(outbound, "prove")

        async def relay(progress: Progress) -> None:
            self.shown.append(progress)

        await self.stage.gateway.handle(inbound, deliver, relay)
        return answers[0]

    def _names(self, agent: str) -> dict[str, object]:
        """Return what guest code finds in scope about the host: it may know all of it, and it must not help."""
        stage = self.stage
        return {
            "MARK": self.mark,
            "SECRET": stage.secret,
            "SECRET_NAME": CANARY_NAME,
            "HOST_HOME": str(stage.home),
            "HOST_OUTSIDE": str(stage.outside),
            "ME_HOME": str(stage.profile(agent)),
            "PEER_HOME": str(stage.profile(self.peer)),
        }


def holes_of(outbound: Outbound) -> list[str]:
    """Return the holes that a turn reported. Raises BrokenProbeError when it did not come to its end."""
    if outbound.error is not None:
        raise BrokenProbeError(f"the turn ended with {outbound.error}: {outbound.text}")
    try:
        said = json.loads(outbound.text)
        if said["done"] is True:
            return [str(each) for each in said["holes"]]
    except (ValueError, LookupError, TypeError):
        pass
    raise BrokenProbeError(f"the turn answered something else: {outbound.text}")


def evidence(holes: list[str]) -> str:
    """Return the reported holes as one text; "" when there are none."""
    return "; ".join(holes)
