"""A model for the SDK's agents that runs in this process, and answers the same each time.

It stands where a language model would: the runner gives it the conversation, it asks for tools or
says something, and streams both as a provider does. What it decides is `app.local_answers`.
"""

import json
import re
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

from agents import (
    AgentOutputSchemaBase,
    Handoff,
    Model,
    ModelResponse,
    ModelSettings,
    ModelTracing,
    Tool,
    TResponseInputItem,
    Usage,
)
from agents.items import TResponseOutputItem, TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDeltaEvent,
)
from openai.types.responses.response_prompt_param import ResponsePromptParam

from app.local_answers import Call, Step, Turn, proceed

NAME = "built-in"


class LocalModel(Model):
    """Understands plain sentences about tasks, as of one day."""

    def __init__(self, today: date) -> None:
        self._today = today

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],  # noqa: A002  the SDK's name
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> ModelResponse:
        return ModelResponse(output=self._output(input), usage=Usage(), response_id=None)

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],  # noqa: A002  the SDK's name
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> AsyncIterator[TResponseStreamEvent]:
        output = self._output(input)
        number = 0
        for index, item in enumerate(output):
            for piece in _pieces(item):
                yield ResponseTextDeltaEvent(
                    type="response.output_text.delta",
                    delta=piece,
                    content_index=0,
                    item_id=item.id or "",
                    logprobs=[],
                    output_index=index,
                    sequence_number=number,
                )
                number += 1
            yield ResponseOutputItemDoneEvent(
                type="response.output_item.done",
                item=item,
                output_index=index,
                sequence_number=number,
            )
            number += 1
        yield ResponseCompletedEvent(
            type="response.completed", response=_response(output), sequence_number=number
        )

    def _output(self, given: str | list[TResponseInputItem]) -> list[TResponseOutputItem]:
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        decided = proceed(_turns(items), self._today)
        # Ids are to be their own within a run; the conversation only ever gets longer.
        number = len(items)
        if isinstance(decided, str):
            return [_message(decided, f"local_message_{number}")]
        return [
            _tool_call(call, f"local_call_{number}_{place}") for place, call in enumerate(decided)
        ]


def _turns(items: list[Any]) -> list[Turn]:
    """The conversation as the person's sentences and what was done about each."""
    turns = [Turn("")]
    names: dict[str, str] = {}
    for item in items:
        match item:
            case {"role": "user", "content": str(said)}:
                turns.append(Turn(said))
            case {"type": "function_call", "call_id": call_id, "name": name}:
                names[call_id] = name
            case {"type": "function_call_output", "call_id": call_id, "output": output}:
                turns[-1].steps.append(Step(names[call_id], _parsed(output)))
    return turns


def _parsed(output: object) -> dict[str, Any] | None:
    """A tool's result is a JSON object; what a failed one says is not."""
    try:
        parsed = json.loads(output) if isinstance(output, str) else None
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and "error" not in parsed else None


def _message(text: str, item_id: str) -> ResponseOutputMessage:
    content = ResponseOutputText(type="output_text", text=text, annotations=[])
    return ResponseOutputMessage(
        id=item_id, type="message", role="assistant", status="completed", content=[content]
    )


def _tool_call(call: Call, call_id: str) -> ResponseFunctionToolCall:
    return ResponseFunctionToolCall(
        id=call_id,
        call_id=call_id,
        type="function_call",
        name=call.name,
        arguments=json.dumps(call.arguments),
    )


def _pieces(item: TResponseOutputItem) -> list[str]:
    """The words of what is said, each with the space before it."""
    if not isinstance(item, ResponseOutputMessage):
        return []
    return re.findall(r"\s*\S+\s*$|\s*\S+", _text(item))


def _text(message: ResponseOutputMessage) -> str:
    return "".join(part.text for part in message.content if isinstance(part, ResponseOutputText))


def _response(output: list[TResponseOutputItem]) -> Response:
    return Response(
        id="local",
        created_at=0,
        model=NAME,
        object="response",
        output=output,
        parallel_tool_calls=True,
        tool_choice="auto",
        tools=[],
        status="completed",
    )
