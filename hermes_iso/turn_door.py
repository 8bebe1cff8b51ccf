"""What a turn's door answers by itself, put together from the turn's work: its model host and its agent's secrets."""

from __future__ import annotations

import ssl

from hermes_iso.broker.door import ModelDoor
from hermes_iso.broker.egress.door import Door
from hermes_iso.broker.injection.hosts import InjectedHosts
from hermes_iso.broker.model_host.answering import Answers
from hermes_iso.broker.model_host.host import ModelHost
from hermes_iso.broker.model_host.menu import Menu
from hermes_iso.broker.model_host.upstream import Sender
from hermes_iso.broker.own_hosts import OwnHosts
from hermes_iso.work import Work


def needs_door(work: Work) -> bool:
    """Say whether a turn needs a door: it may start programs, and there is something that they may reach."""
    agent = work.agent
    reaches = agent.egress.opens or agent.models is not None or bool(agent.profile.secrets)
    return reaches and any(tool.executes for tool in work.tools)


def own_hosts(work: Work, models: ModelDoor, *, door: Door, sender: Sender, tls: ssl.SSLContext, deadline: float) -> OwnHosts:
    """Return what answers for a turn at its door; `own_hosts.attach` puts it there.

    models: the turn's other way to its model, with which its programs share a budget. tls: how hosts of secrets are trusted;
    one for the gateway. deadline: by trio's clock.
    """
    agent = work.agent
    host = None
    if agent.models is not None:
        menu = Menu.of(agent, work.policy, work.turn.route.reply_to.platform)
        host = ModelHost(sender, menu=menu, answers=Answers(menu, models.budgets, work.log), deadline=deadline)
    return OwnHosts(host, InjectedHosts(agent.profile.secrets, door=door, tls=tls, log=work.log))
