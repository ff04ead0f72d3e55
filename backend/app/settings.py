"""The configuration, all of it from the environment, checked before anything starts.

A setting that is missing or malformed becomes one line that names the variable and never its value.
"""

from functools import cached_property
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app import origin
from app.dsn import Address, compose, parse


class SettingsError(Exception):
    """What is wrong with the environment, in one line."""


class Settings(BaseSettings):
    """An empty variable counts as one that is not set: Secrets often carry empty keys."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    environment: str = "development"
    cors_origins: str = ""
    port: int = Field(default=8000, ge=1, le=65535)

    database_url: SecretStr | None = None
    postgres_host: str = "localhost"
    postgres_port: int = Field(default=5432, ge=1, le=65535)
    postgres_user: str = "todo"
    postgres_db: str = "todo"
    postgres_password: SecretStr | None = None

    # Where the sign-in publishes its keys: its address inside the cluster.
    better_auth_url: str | None = None
    # Who the sign-in's tokens say they are from, letter by letter; by default the first of the
    # origins, which is what our own sign-in says.
    auth_issuer: str | None = None

    # Not used to verify anything, the public keys are enough; known so that it is never logged.
    better_auth_secret: SecretStr | None = None

    # The assistant's model; without a key the built-in one answers.
    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None
    openai_model: str = "gpt-4.1-mini"

    mcp_api_key: SecretStr | None = None
    mcp_default_user_id: str | None = None

    @field_validator("database_url")
    @classmethod
    def _database_url_is_one(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse(value.get_secret_value())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_some(cls, value: str) -> str:
        try:
            return ",".join(origin.normal(text) for text in _split(value))
        except ValueError:
            raise ValueError(
                "wants origins like http://localhost:30080, separated by commas"
            ) from None

    @field_validator("better_auth_url", "openai_base_url")
    @classmethod
    def _others_are_at_web_addresses(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
            raise ValueError("wants an address like http://todo-frontend")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _what_cannot_be_guessed_is_set(self) -> Self:
        missing = []
        if self.database_url is None and self.postgres_password is None:
            missing.append("DATABASE_URL is not set, and POSTGRES_PASSWORD is not set either")
        if self.better_auth_url is None:
            missing.append("BETTER_AUTH_URL is not set")
        if self.auth_issuer is None and not self.origins:
            missing.append("CORS_ORIGINS is not set, and AUTH_ISSUER is not set either")
        if missing:
            raise ValueError("; ".join(missing))
        return self

    @cached_property
    def database(self) -> Address:
        """Where the database is: DATABASE_URL, or put together from the POSTGRES_ variables."""
        if self.database_url is not None:
            return parse(self.database_url.get_secret_value())
        password = self.postgres_password.get_secret_value() if self.postgres_password else ""
        return compose(
            user=self.postgres_user,
            password=password,
            host=self.postgres_host,
            port=self.postgres_port,
            database=self.postgres_db,
        )

    @property
    def secrets(self) -> list[str]:
        """The values that nobody may see."""
        values = [value for _, value in self if isinstance(value, SecretStr)]
        password = self.database.url.password
        return [value.get_secret_value() for value in values] + ([password] if password else [])

    @property
    def jwks_url(self) -> str:
        """Where the sign-in publishes the keys that its tokens are signed with."""
        return f"{self.better_auth_url}/api/auth/jwks"

    @property
    def issuer(self) -> str:
        """The issuer and the audience of the sign-in's tokens: the public origin."""
        return self.auth_issuer or self.origins[0]

    @property
    def origins(self) -> list[str]:
        """The origins that browsers may call from."""
        return _split(self.cors_origins)


def load() -> Settings:
    """Read the environment. Raises SettingsError."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_sentences(error))) from None


def _sentences(error: ValidationError) -> list[str]:
    found = []
    # The input is left out: it is often a password.
    for detail in error.errors(include_input=False, include_url=False, include_context=False):
        name = "_".join(str(part) for part in detail["loc"]).upper()
        reason = detail["msg"].removeprefix("Value error, ")
        found.append(f"{name} {reason}" if name else reason)
    return found


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
