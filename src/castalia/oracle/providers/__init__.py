"""Providers by name, imported when first used. Others come from the entry-point group `castalia.providers`."""

from importlib import import_module
from importlib.metadata import entry_points

from castalia.errors import ConfigError
from castalia.oracle.providers.base import Provider
from castalia.oracle.roles import RoleConfig

BUILT_IN = {
    "openai": "castalia.oracle.providers.openai:OpenAIProvider",
    "anthropic": "castalia.oracle.providers.anthropic:AnthropicProvider",
    "recorded": "castalia.oracle.providers.recorded:RecordedProvider",
    "batch_file": "castalia.oracle.providers.batch_file:BatchFileProvider",
}


def provider_class(name: str) -> type[Provider]:
    """The class of a provider. Raises ConfigError with the names there are."""
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        return getattr(import_module(module), attribute)
    plugins = {entry.name: entry for entry in entry_points(group="castalia.providers")}
    if name not in plugins:
        raise ConfigError(f"provider {name!r} does not exist; there are {', '.join([*BUILT_IN, *sorted(plugins)])}")
    found = plugins[name].load()
    if not (isinstance(found, type) and issubclass(found, Provider)):
        raise ConfigError(
            f"entry point {name!r} of group 'castalia.providers' is {found!r}; it must be a subclass of castalia.oracle.Provider"
        )
    return found


def open_provider(config: RoleConfig) -> Provider:
    """The provider of a role."""
    return provider_class(config.provider)(config)
