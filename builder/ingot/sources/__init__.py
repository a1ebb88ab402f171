"""Where models come from: a path, an https URL, a Hub repository, an archive of one of these.

``reference`` reads what the user wrote; ``resolve`` finds out which files that means, without
fetching them; ``fetch`` brings them here, each checked by its sha256. Everything below these is
one concern per module: ``web`` sends requests, ``download`` gets one file whole, ``hub`` asks the
API, ``choose`` picks files by their names, ``hubcache`` is the cache shared with other Hub
clients, ``archive`` looks into ZIP and tar.
"""
