"""The model of a multipart form: read where every parser reads the same one, refused where they may differ."""

import pytest

from router_proxy.errors import RequestInvalid
from router_proxy.request.forms import form_model
from tests.router_proxy.conftest import GENERAL, Proxy

TYPE = "multipart/form-data; boundary=b"
FILE = b'Content-Disposition: form-data; name="file"; filename="a; name=model.wav"\r\n\r\n\x00\xff'
MODEL = b'Content-Disposition: form-data; name="model"\r\n\r\nwhisper'


def form(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        pytest.param(form(MODEL), TYPE, id="alone"),
        pytest.param(form(FILE, MODEL), TYPE, id="after a file"),
        pytest.param(form(MODEL, FILE), TYPE, id="before a file"),
        pytest.param(form(MODEL.replace(b'"model"', b"model")), TYPE, id="without quotes"),
        pytest.param(form(MODEL.replace(b"Content-Disposition", b"content-disposition")), TYPE, id="in lower case"),
        pytest.param(form(b"Content-Type: text/plain\r\n" + MODEL), TYPE, id="after another line"),
        pytest.param(form(MODEL), 'Multipart/Form-Data; charset=utf-8; boundary="b"', id="a quoted boundary"),
        pytest.param(b"preamble\r\n" + form(MODEL) + b"epilogue " + MODEL, TYPE, id="with something around it"),
        pytest.param(form(FILE.replace(b"; f", b"; filename*=UTF-8''a%20b; f"), MODEL), TYPE, id="a name in RFC 5987"),
    ],
)  # fmt: skip
def test_the_model_is_read(raw: bytes, content_type: str) -> None:
    assert form_model(raw, content_type) == "whisper"


@pytest.mark.parametrize(
    "raw", [form(FILE), form(), form(MODEL.replace(b"whisper", b"")), form(MODEL.replace(b'"model"', b'"models"'))]
)
def test_a_form_may_name_none(raw: bytes) -> None:
    assert form_model(raw, TYPE) is None


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        pytest.param(form(MODEL, MODEL), TYPE, id="two models"),
        pytest.param(form(MODEL, FILE, MODEL.replace(b"whisper", b"other")), TYPE, id="two models apart"),
        pytest.param(form(MODEL.replace(b'"model"', b'"Model"')), TYPE, id="another case"),
        pytest.param(form(MODEL.replace(b"name=", b"name=a; name=")), TYPE, id="two names"),
        pytest.param(form(MODEL.replace(b"name=", b"name*=utf-8''model; name=")), TYPE, id="a name in RFC 5987, too"),
        pytest.param(form(MODEL.replace(b'"model"', b'"mod\\el')), TYPE, id="an open quote"),
        pytest.param(form(MODEL.replace(b"; name", b"\r\n ; name")), TYPE, id="a folded line"),
        pytest.param(form(MODEL.replace(b"\r\n", b"\n")), TYPE, id="bare line feeds"),
        pytest.param(form(MODEL).replace(b"\r\n", b"\n"), TYPE, id="nothing but bare line feeds"),
        pytest.param(form(b"X: y\r\n\r\nz"), TYPE, id="no name"),
        pytest.param(form(FILE.partition(b"\r\n")[0] + b"\r\n" + MODEL), TYPE, id="two dispositions"),
        pytest.param(form(MODEL)[:-8], TYPE, id="no end"),
        pytest.param(b"--bx\r\n" + MODEL + b"\r\n--bx--", TYPE, id="another boundary"),
        pytest.param(form(MODEL.replace(b"whisper", b"\xff")), TYPE, id="no UTF-8"),
        pytest.param(form(MODEL.replace(b"whisper", b"w" * 2000)), TYPE, id="a very long model"),
        pytest.param(form(b"X: " + b"y" * 5000 + b"\r\n" + MODEL), TYPE, id="a very long head"),
        pytest.param(form(*[FILE] * 1001, MODEL), TYPE, id="very many parts"),
        pytest.param(form(MODEL), "multipart/form-data", id="no boundary"),
        pytest.param(form(MODEL), "multipart/form-data; boundary=b; boundary=c", id="two boundaries"),
        pytest.param(form(MODEL), "multipart/form-data; boundary=", id="an empty boundary"),
        pytest.param(form(MODEL), "multipart/form-data; boundary=" + "b" * 71, id="a boundary too long"),
        pytest.param(form(MODEL), "multipart/form-data; boundary*=b", id="a boundary in RFC 5987"),
    ],
)  # fmt: skip
def test_what_another_may_read_otherwise_is_refused(raw: bytes, content_type: str) -> None:
    with pytest.raises(RequestInvalid):
        form_model(raw, content_type)


async def test_two_models_reach_nobody(proxy: Proxy) -> None:
    model = b'Content-Disposition: form-data; name="model"\r\n\r\n' + GENERAL.encode()

    answer = await proxy.post("/v1/audio/transcriptions", form(model, model), Content_Type=TYPE)

    assert (answer.status, answer.body["error"]["code"]) == (400, "invalid_body")
    assert proxy.general.requests_begun == 0
