"""The console: server-rendered pages over a workspace, for people; read-only, without scripts and without a build."""

from trunkline.console.listing import ConsoleReader, Listing, Page
from trunkline.console.pages import mount
from trunkline.console.workspace_reader import WorkspaceReader

__all__ = ["ConsoleReader", "Listing", "Page", "WorkspaceReader", "mount"]
