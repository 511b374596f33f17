"""The list of words that no message may say."""

from api.auth import caller
from api.bodies import Routes
from api.context import services
from api.documents import problems
from api.examples import screening as examples
from api.schemas import screening as schemas
from api.views import screening as views

screening = Routes("screening", __name__, url_prefix="/api/settings", tag="Settings")


@screening.get("/banned-words")
@screening.output(schemas.BannedWordsReply, example=examples.BANNED_WORDS)
@screening.doc(
    summary="The words that no message may say",
    description="Whole words and phrases, found in any case, with or without diacritics, and with"
    " punctuation or invisible characters between their letters. A message with one is refused"
    " with 422, code banned_words, and details name each.",
    responses=problems(403),
)
def read_banned_words() -> schemas.BannedWordsReply:
    return views.banned_words(services().screening.banned_words(caller()))


@screening.put("/banned-words")
@screening.input(schemas.BannedWordsRequest, arg_name="body", example=examples.ASKED)
@screening.output(schemas.BannedWordsReply, example=examples.BANNED_WORDS)
@screening.doc(
    summary="Change the words that no message may say",
    description="The whole list at once; an empty one bans nothing. Messages accepted before stay.",
    responses=problems(400, 403, 413, 415, 422),
)
def change_banned_words(body: schemas.BannedWordsRequest) -> schemas.BannedWordsReply:
    return views.banned_words(services().screening.change_banned_words(caller(), body.words))
