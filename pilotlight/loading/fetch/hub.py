"""The Hugging Face Hub as a source: ``huggingface_hub`` lists a repository at a commit, our own transport reads it.

``snapshot_download`` is not used for the bytes: a download that was killed starts again from nothing, and it compares
sizes, not hashes (docs/experiments.md has the figures). Here every file is checked: large ones by the sha256 of their
LFS entry, small ones by their git blob id.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import httpx2
from huggingface_hub import HfApi, ModelInfo, get_token, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling

from pilotlight.errors import FetchError, UsageError
from pilotlight.loading.fetch.sources import HubSource, Listing, Opened, RemoteFile, TransientError
from pilotlight.loading.fetch.web import TRY_AGAIN, Web, open_web
from pilotlight.loading.files.names import choose_files
from pilotlight.util.retry_after import retry_after_s

DEFAULT_ENDPOINT = "https://huggingface.co"
LISTING_TIMEOUT_S = 15.0


@contextlib.asynccontextmanager
async def open_hub(source: HubSource, *, environ: Mapping[str, str], allow_http: bool) -> AsyncIterator[HubRemote]:
    """The repository ``source`` at ``HF_ENDPOINT``, read with ``HF_TOKEN`` or the token saved by ``hf auth login``."""
    endpoint = (environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    token = environ.get("HF_TOKEN", "").strip()
    if not token and not environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        token = get_token() or ""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    # Whoever points HF_ENDPOINT at plain http has decided so.
    allow_http = allow_http or endpoint.startswith("http://")
    async with open_web(allow_http=allow_http, headers=headers) as web:
        yield HubRemote(source, HfApi(endpoint=endpoint, token=token or False), web)


@dataclass(frozen=True, slots=True)
class HubRemote:
    """One repository on the Hub."""

    source: HubSource
    api: HfApi
    web: Web

    async def listing(self, revision: str | None) -> Listing:
        """Raises TransientError, FetchError, UsageError: the Hub does not list it; UnsafeWeightsError: only pickles."""
        info = await asyncio.to_thread(self._info, revision or self.source.id.revision)
        if not info.sha:
            raise FetchError(f"{self.source.label}: the Hub does not say which commit that is")
        siblings = {sibling.rfilename: sibling for sibling in info.siblings or []}
        chosen = choose_files(siblings, source=self.source.label, only=self.source.id.file)
        return Listing(tuple(self._file(siblings[name], info.sha) for name in chosen), info.sha)

    def open(self, file: RemoteFile, offset: int, etag: str | None) -> contextlib.AbstractAsyncContextManager[Opened]:
        return self.web.open(file, offset, etag)

    def _info(self, revision: str | None) -> ModelInfo:
        label = self.source.label
        try:
            return self.api.model_info(
                self.source.id.repo, revision=revision or "main", files_metadata=True, timeout=LISTING_TIMEOUT_S
            )
        except GatedRepoError as error:
            raise FetchError(
                f"{label} is gated: accept its terms on {self.api.endpoint}/{self.source.id.repo} and set HF_TOKEN to "
                "a token of the account that did"
            ) from error
        except RevisionNotFoundError as error:
            raise FetchError(
                f"{label}: the repository has no revision {revision!r} (a branch, tag or commit)"
            ) from error
        except RepositoryNotFoundError as error:
            raise FetchError(
                f"{label}: {self.api.endpoint} has no such repository, or it is private and HF_TOKEN is not set to a "
                "token that may read it"
            ) from error
        except HfHubHTTPError as error:
            raise self._refused(error) from error
        except HFValidationError as error:
            raise UsageError(f"{label} is not a repository's name: {error}") from error
        except OfflineModeIsEnabled as error:
            raise FetchError(f"{label} cannot be fetched: HF_HUB_OFFLINE is set") from error
        except httpx2.TransportError as error:
            raise TransientError(f"{label}: {self.api.endpoint} cannot be reached ({type(error).__name__})") from error
        except (ValueError, KeyError, TypeError) as error:
            raise FetchError(f"{label}: {self.api.endpoint} does not answer like a model hub ({error})") from error

    def _refused(self, error: HfHubHTTPError) -> FetchError | TransientError:
        status = error.response.status_code
        text = f"{self.source.label}: {self.api.endpoint} answered {status}"
        if status in TRY_AGAIN:
            asked_s = retry_after_s(error.response.headers.get("Retry-After", ""), now=time.time())
            return TransientError(text, retry_after_s=asked_s)
        if status in (401, 403):
            return FetchError(f"{text}: set HF_TOKEN to a token that may read it")
        return FetchError(text)

    def _file(self, sibling: RepoSibling, commit: str) -> RemoteFile:
        name = sibling.rfilename
        return RemoteFile(
            name=name,
            address=hf_hub_url(self.source.id.repo, name, revision=commit, endpoint=self.api.endpoint),
            size_bytes=sibling.size,
            sha256=sibling.lfs.sha256 if sibling.lfs else None,
            git_sha1=None if sibling.lfs else sibling.blob_id,
        )
