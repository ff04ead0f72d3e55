FROM python:3.13-slim AS base
COPY app app

FROM base AS runtime
CMD ["python", "-m", "app"]
