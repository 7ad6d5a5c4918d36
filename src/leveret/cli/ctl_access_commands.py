"""The commands of leveretctl for users, virtual hosts and permissions: what each takes, and what its help says."""

from __future__ import annotations

from typing import Final

from leveret.cli.ctl_command import ANY_NUMBER, Command

LISTING: Final = "[--no-table-headers] [--timeout <timeout>]"
QUEUE_TYPES: Final = "<quorum|classic>"
METADATA: Final = ("description", "tags", "default-queue-type")
USER_COMMANDS: Final = (
    Command(
        "add_user",
        "Creates a new user, who has no permissions for any virtual host yet",
        "<username> [<password>] [--pre-hashed-password]",
        ('Adding user "{username}" ...',),
        options=("pre-hashed-password",),
        words=("username",),
        most=2,
    ),
    Command(
        "delete_user",
        "Removes a user, with all permissions, and closes their connections",
        "<username>",
        ('Deleting user "{username}" ...',),
        options=(),
        words=("username",),
    ),
    Command(
        "change_password",
        "Changes a user's password",
        "<username> [<password>]",
        ('Changing password for user "{username}" ...',),
        options=(),
        words=("username",),
        most=2,
    ),
    Command(
        "clear_password",
        "Clears (resets) a password and disables password login for a user",
        "<username>",
        ('Clearing password for user "{username}" ...',),
        options=(),
        words=("username",),
    ),
    Command(
        "authenticate_user",
        "Attempts to authenticate a user. Exits with a non-zero code if authentication fails",
        "<username> [<password>]",
        ('Authenticating user "{username}" ...',),
        options=(),
        words=("username",),
        most=2,
    ),
    Command(
        "hash_password",
        "Hashes a password as users have them, and changes nothing",
        "[<password>]",
        ("Will hash password {password}",),
        options=(),
        most=1,
    ),
    Command(
        "set_user_tags",
        "Sets user tags",
        "<username> <tag> [...]",
        ('Setting tags for user "{username}" to [{tags}] ...',),
        options=(),
        words=("username",),
        most=ANY_NUMBER,
    ),
    Command("list_users", "Lists user names and tags", LISTING, ("Listing users ...",), "users"),
)
VHOST_COMMANDS: Final = (
    Command(
        "add_vhost",
        "Creates a virtual host",
        f'<vhost> [--description <description>] [--tags "<tag1>,<tag2>,<...>"] [--default-queue-type {QUEUE_TYPES}]',
        ('Adding vhost "{vhost}" ...',),
        options=METADATA,
        words=("vhost",),
    ),
    Command(
        "delete_vhost",
        "Deletes a virtual host with everything in it, and closes its connections",
        "<vhost>",
        ('Deleting vhost "{vhost}" ...',),
        options=(),
        words=("vhost",),
    ),
    Command(
        "list_vhosts",
        "Lists virtual hosts",
        "[--no-table-headers] [<column> ...] [--timeout <timeout>]",
        ("Listing vhosts ...",),
        "vhosts",
        most=ANY_NUMBER,
    ),
    Command(
        "update_vhost_metadata",
        "Updates metadata (tags, description, default queue type) of a virtual host",
        f'<vhost> [--description <description>] [--tags "<tag1>,<tag2>,<...>"] [--default-queue-type {QUEUE_TYPES}]',
        ('Updating metadata of vhost "{vhost}" ...',),
        options=METADATA,
        words=("vhost",),
    ),
    Command(
        "set_vhost_tags",
        "Sets virtual host tags",
        "<vhost> <tag> [...]",
        ('Setting tags for virtual host "{vhost}" to [{tags}] ...',),
        options=(),
        words=("vhost",),
        most=ANY_NUMBER,
    ),
    Command(
        "enable_vhost_deletion_protection",
        "Protects a virtual host from deletion (until the protection is removed)",
        "<vhost>",
        ('Protecting virtual host "{vhost}" from removal by updating its metadata...',),
        options=(),
        words=("vhost",),
    ),
    Command(
        "disable_vhost_deletion_protection",
        "Removes the protection of a virtual host from deletion",
        "<vhost>",
        ('Removing deletion protection for virtual host "{vhost}" by updating its metadata...',),
        options=(),
        words=("vhost",),
    ),
)
PATTERNS: Final = ("configure", "write", "read")
PERMISSION_COMMANDS: Final = (
    Command(
        "set_permissions",
        "Sets user permissions for a vhost",
        "[--vhost <vhost>] <username> <conf> <write> <read>",
        ('Setting permissions for user "{username}" in vhost "{vhost}" ...',),
        options=(),
        words=("username", *PATTERNS),
    ),
    Command(
        "set_permissions_globally",
        "Sets user permissions for all virtual hosts",
        "<username> <conf> <write> <read>",
        ('Setting permissions for user "{username}" in all virtual hosts ...',),
        options=(),
        words=("username", *PATTERNS),
    ),
    Command(
        "clear_permissions",
        "Revokes user permissions for a vhost",
        "[--vhost <vhost>] <username>",
        ('Clearing permissions for user "{username}" in vhost "{vhost}" ...',),
        options=(),
        words=("username",),
    ),
    Command(
        "list_permissions",
        "Lists user permissions in a virtual host",
        f"[--vhost <vhost>] {LISTING}",
        ('Listing permissions for vhost "{vhost}" ...',),
        "permissions",
    ),
    Command(
        "list_user_permissions",
        "Lists permissions of a user across all virtual hosts",
        f"{LISTING} <username>",
        ('Listing permissions for user "{user}" ...',),
        "user_permissions",
        words=("username",),
    ),
)
TOPIC_PERMISSION_COMMANDS: Final = (
    Command(
        "set_topic_permissions",
        "Sets user topic permissions for an exchange",
        "[--vhost <vhost>] <username> <exchange> <write> <read>",
        ('Setting topic permissions on "{exchange}" for user "{username}" in vhost "{vhost}" ...',),
        options=(),
        words=("username", "exchange", "write", "read"),
    ),
    Command(
        "clear_topic_permissions",
        "Clears user topic permissions for a vhost or exchange",
        "[--vhost <vhost>] <username> [<exchange>]",
        (
            'Clearing topic permissions for user "{username}" in vhost "{vhost}" ...',
            'Clearing topic permissions on "{exchange}" for user "{username}" in vhost "{vhost}" ...',
        ),
        options=(),
        words=("username",),
        most=2,
    ),
    Command(
        "list_topic_permissions",
        "Lists topic permissions in a virtual host",
        f"[--vhost <vhost>] {LISTING}",
        ('Listing topic permissions for vhost "{vhost}" ...',),
        "topic_permissions",
    ),
    Command(
        "list_user_topic_permissions",
        "Lists user topic permissions",
        f"{LISTING} <username>",
        ('Listing topic permissions for user "{user}" ...',),
        "user_topic_permissions",
        words=("username",),
    ),
)
ACCESS_COMMANDS: Final = (*USER_COMMANDS, *VHOST_COMMANDS, *PERMISSION_COMMANDS, *TOPIC_PERMISSION_COMMANDS)
ACCESS_WORDS: Final = {
    "vhost": "the virtual host's name",
    "configure": "pattern of the names that the user may declare and delete",
    "write": "pattern of what the user may publish to, or of the routing keys that they may publish",
    "read": "pattern of what the user may consume, or of the routing keys that they may bind",
    "exchange": "topic exchange to set the permissions for",
}
ACCESS_OPTIONS: Final = (
    ("description", "the virtual host's description"),
    ("tags", "<tag1,tag2>: comma-separated list of tags"),
    ("default-queue-type", f"{QUEUE_TYPES}: queue type to use if no type is explicitly provided by the client"),
    ("pre-hashed-password", "the password is given as its salted SHA-256 hash in base64 (see hash_password)"),
)
