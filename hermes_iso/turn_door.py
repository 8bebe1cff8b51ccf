"""What doors answer by themselves: a turn's its model host and its agent's secrets, that of a process the secrets alone.

A process may outlive its turn, and with it the budget that a model host is charged to; so it has none.
"""

from __future__ import annotations

from hermes_iso.agents import Agent
from hermes_iso.broker.door import ModelDoor
from hermes_iso.broker.egress.door import Door
from hermes_iso.broker.injection.hosts import InjectedHosts
from hermes_iso.broker.model_host.answering import Answers
from hermes_iso.broker.model_host.host import ModelHost
from hermes_iso.broker.model_host.menu import Menu, Offers
from hermes_iso.broker.own_hosts import OwnHosts, attach
from hermes_iso.broker.upstream import Sender
from hermes_iso.journal import TurnLog
from hermes_iso.work import Work


def equip_for_turn(door: Door, work: Work, models: ModelDoor, sender: Sender, offers: Offers | None) -> None:
    """Let a turn's door answer by itself. models: the turn's other way to its model, with which programs share a budget.

    offers: makes the offer where that is another than usual.
    """
    agent, host = work.agent, None
    if agent.models is not None or offers is not None:
        usual = Menu.of(agent, work.policy, work.turn.route.reply_to.platform)
        menu = offers(usual) if offers else usual
        answers = Answers(menu, models.budgets, work.log)
        key = work.model_key if agent.models is None else ""
        host = ModelHost(sender, menu=menu, answers=answers, deadline=door.deadline, key=key, note=models.note)
    secrets = agent.profile.secrets if work.may_go_out else ()
    attach(door, OwnHosts(host, InjectedHosts(secrets, door=door, tls=sender.tls, log=work.log)))


def equip_for_process(door: Door, agent: Agent | None, sender: Sender, log: TurnLog) -> None:
    """Let the door of a command or background process answer by itself. agent: None when it is not served any more."""
    secrets = agent.profile.secrets if agent is not None else ()
    attach(door, OwnHosts(None, InjectedHosts(secrets, door=door, tls=sender.tls, log=log)))
