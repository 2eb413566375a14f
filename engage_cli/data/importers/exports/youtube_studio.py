"""YouTube Studio's "Table data.csv": analytics of a channel, a video a row, the sums of all in the first row."""

from __future__ import annotations

from engage_cli.data.importers.exports import Export, present
from engage_cli.data.tables.reading import Raw

COLUMNS = {
    "id": (
        "Content",
        "Video",
        "Inhalte",
        "Contenu",
        "Contenido",
        "Conteúdo",
        "Contenuti",
        "コンテンツ",
        "콘텐츠",
        "Контент",
    ),
    "title": (
        *("Video title", "Videotitel", "Titre de la vidéo", "Título del vídeo", "Título del video", "Título do vídeo"),
        *("Titolo del video", "動画のタイトル", "동영상 제목", "Название видео"),
    ),
    "posted_at": (
        *("Video publish time", "Veröffentlichungszeitpunkt des Videos", "Heure de publication de la vidéo"),
        *("Hora de publicación del vídeo", "Hora de publicación del video", "Horário de publicação do vídeo"),
        *("Ora di pubblicazione del video", "動画公開時刻", "동영상 게시 시간", "Время публикации видео"),
    ),
}
TOTALS = ("total", "totals", "gesamt", "totale", "合計", "합계", "итого", "toplam", "totaal", "totaux", "totales")


def read(raw: Raw) -> Export | None:
    found = present(raw.frame.columns, COLUMNS)
    if len(found) < len(COLUMNS):
        return None
    ids = raw.frame[found["id"]].str.strip().str.lower()
    totals = ids.isin(TOTALS) & (raw.frame[found["title"]].str.strip() == "")
    raw.frame = raw.frame[~totals].reset_index(drop=True)
    notes = ["the row of totals was left out"] if totals.any() else []
    return Export(name="YouTube Studio's table", columns=found, notes=notes)
