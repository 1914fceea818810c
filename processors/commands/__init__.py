"""Groups of commands of ``alvh``, one file each, and what all commands share."""
