"""What lies under a name in an HDF5 group, without ever opening another file."""

from __future__ import annotations

import h5py

from hasn.errors import FileError

#: Soft links that lead to each other are followed this far.
_MOST = 16


class Links:
    """Resolves the links of one file.

    Args:
        path: of the file, for messages.
        root: the group out of which no link may lead.
    """

    def __init__(self, path: str, root: str) -> None:
        self.path = path
        self.root = root

    def at(self, group: h5py.Group, key: str) -> h5py.Group | h5py.Dataset:
        """The group or dataset of a name.

        Raises:
            FileError: the name is a link to another file, to nothing, or out of the root; or it is neither of the two.
        """
        where = f"{group.name.rstrip('/')}/{key}"
        return self._object(self._hard(group, key, where), where)

    def _hard(self, group: h5py.Group, key: str, where: str, followed: int = 0) -> tuple[h5py.Group, str]:
        """The group and name of the hard link that a name stands for in the end."""
        try:
            link = group.get(key, getlink=True)
        except (KeyError, TypeError):  # of a kind that h5py does not know
            raise self._refused(f"{where} is a link of an unknown kind") from None
        if isinstance(link, h5py.ExternalLink):
            raise self._refused(
                f"{where} lies in another file, which is not read", f"a link to {link.path} of {link.filename!r}"
            )
        if not isinstance(link, h5py.SoftLink):
            return group, key
        if followed >= _MOST:
            raise self._refused(f"{where} is a link to a link, {_MOST} times over")
        return self._follow(group, link.path, where, followed)

    def _follow(self, group: h5py.Group, target: str, where: str, followed: int) -> tuple[h5py.Group, str]:
        absolute = target if target.startswith("/") else f"{group.name.rstrip('/')}/{target}"
        parts = [part for part in absolute.split("/") if part not in ("", ".")]
        if not f"/{'/'.join(parts)}/".startswith(f"{self.root}/"):
            raise self._refused(f"{where} leads out of the graph", f"a link to {target}")
        at: h5py.Group = group.file["/"]
        for part in parts[:-1]:
            if at.get(part, getlink=True, default=None) is None:
                raise self._refused(f"{where} leads to nothing", f"a link to {target}")
            found = self._object(self._hard(at, part, where, followed + 1), where)
            if not isinstance(found, h5py.Group):
                raise self._refused(f"{where} leads to nothing", f"a link to {target}")
            at = found
        if at.get(parts[-1], getlink=True, default=None) is None:
            raise self._refused(f"{where} leads to nothing", f"a link to {target}")
        return self._hard(at, parts[-1], where, followed + 1)

    def _object(self, hard: tuple[h5py.Group, str], where: str) -> h5py.Group | h5py.Dataset:
        found = hard[0][hard[1]]
        if not isinstance(found, h5py.Group | h5py.Dataset):
            raise self._refused(f"{where} is neither a group nor data", type(found).__name__)
        return found

    def _refused(self, message: str, got: str | None = None) -> FileError:
        return FileError(
            message,
            parameter=self.path,
            got=got,
            wanted="a graph that lies whole in its own file",
            way_out="Copy what it points to into the file (h5repack, or hasn.save the graph again).",
        )
