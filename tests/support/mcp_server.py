"""An MCP server with one tool, over streamable HTTP on 127.0.0.1: `python mcp_server.py PORT`."""

import sys

from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

server = MCPServer("tiny")


@server.tool()
def repeat(times: int) -> str:
    """Say a word several times."""
    return "from-the-mcp-server " * times


if __name__ == "__main__":
    names = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # it is asked by a name of the test's config
    server.run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]), transport_security=names)
