# The service for Google Cloud Logging on Cloud Run (docs/google.md). AWS runs zips, not this.
FROM python:3.13-slim
RUN pip install --no-cache-dir uv==0.13.*
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --only-group google --no-cache --compile-bytecode
COPY src ./src
ENV PATH=/app/.venv/bin:$PATH PYTHONPATH=/app/src PYTHONUNBUFFERED=1
USER nobody
CMD ["python", "-m", "loki_shipper.google"]
