"""Words for the knee, its sides, and views of it, as descriptions in DICOM headers have them.

One table, a language an entry. A word is a whole word of a text, in any case, with or without its
accents; of Chinese, Japanese, Korean and Thai, which write without spaces, any part of the text.

- ``stem*``: also what begins so; ``of_two`` words: one after the other.
- ``~word``: only in a text that has the language's word for the knee, for elsewhere it means
  something else (German ``li`` is an Italian article).
- a single Latin letter: only beside that word (``Genou G``, ``KNEE_R``); R and L also at the end.
"""

# ruff: noqa: RUF001

from __future__ import annotations

from typing import NamedTuple


class Language(NamedTuple):
    """Words of one language for the knee, its sides, its views, other parts, and both knees."""

    knee: str
    right: str
    left: str
    frontal: str = ""
    not_frontal: str = ""
    other_parts: str = ""
    both: str = ""


LANGUAGES = (
    Language(  # English, and what is written everywhere
        knee="knee* patell* genu tkr tka",
        right="right rt r",
        left="left lt l",
        frontal=(
            "ap pa frontal face front coronal fixed rosenberg schuss "
            "anteroposterior posteroanterior antero_posterior postero_anterior"
        ),
        not_frontal=(
            "lateral laterale* lateralis lat llat rlat xtlat latero* mediolat* oblique* obl axial "
            "axiale* sagittal sagital sagittale cross_table crosstable skyline sunrise merchant* "
            "laurin settegast hughston tangential* tunnel notch intercondyl* holmblad beclere "
            "camp_coventry"
        ),
        other_parts=(
            "hip hips pelvis hand hands wrist wrists elbow elbows shoulder shoulders foot feet "
            "ankle ankles chest thorax spine lumbar cervical skull abdomen clavicle scapula "
            "finger fingers toe toes thumb forearm humerus ribs heel calcaneus sacrum coccyx "
            "mandible"
        ),
        both="both bilateral* bilat",
    ),
    Language(  # German
        knee="knie*",
        right="rechts rechte rechter rechtes rechten ~re r",
        left="links linke linker linkes linken ~li l",
        frontal="vorderaufnahme",
        not_frontal="seitlich* seitl seitenaufnahme schrag* tunnelaufnahme frik",
        other_parts=(
            "hufte huft* becken beckenubersicht handgelenk ellenbogen ellbogen schulter fuss "
            "vorfuss sprunggelenk oberes_sprunggelenk osg lws bws hws schadel wirbelsaule"
        ),
        both="beide beider beidseits beids bds bdseits beidseitig",
    ),
    Language(  # Dutch
        knee="knie*",
        right="rechts rechter ~re r",
        left="links linker ~li l",
        frontal="voorachterwaarts",
        not_frontal="zijdelings dwars* lateraal axiaal",
        other_parts="heup bekken pols elleboog schouder voet enkel",
        both="beide",
    ),
    Language(  # French
        knee="genou* rotul*",
        right="droit droite ~dt ~dte d",
        left="gauche ~gche g",
        frontal="de_face",
        not_frontal="profil profils defile* echancrure ~ax",
        other_parts="hanche hanches bassin poignet coude epaule pied cheville rachis crane",
        both="les_deux deux bilat*",
    ),
    Language(  # Spanish
        knee="rodilla* rotula*",
        right="derecha derecho derechas ~der ~dcha ~dcho d",
        left="izquierda izquierdo izq izqda izqdo izda izdo i",
        frontal="de_frente ~frente",
        not_frontal="perfil oblicua* tunel escotadura intercondil*",
        other_parts="cadera* pelvis mano munec* codo hombro tobillo torax columna craneo",
        both="ambas ambos",
    ),
    Language(  # Portuguese
        knee="joelho* patela*",
        right="direito direita ~dir d",
        left="esquerdo esquerda ~esq e",
        frontal="~frente",
        not_frontal="perfil obliqua* tunel",
        other_parts="quadril bacia punho cotovelo ombro tornozelo coluna",
        both="ambos",
    ),
    Language(  # Italian
        knee="ginocchi* rotul*",
        right="destro destra destri ~dx ~des d",
        left="sinistro sinistra ~sx ~sin s",
        not_frontal="obliqua* assiale* ~ll profilo",
        other_parts=(
            "anca anche bacino polso gomito spalla piede caviglia torace rachide colonna cranio"
        ),
        both="entrambe entrambi",
    ),
    Language(  # Latin, as it is written in many countries
        knee="knee* knie* kolan* kolen* koljen* ginocchi* genu",
        right="dexter dextra dextrum dext ~dex",
        left="sinister sinistrum ~sin ~sinist",
    ),
    Language(  # Polish
        knee="kolan* rzepk*",
        right="prawy prawa prawe prawego prawej ~pr p",
        left="lewy lewa lewe lewego lewej ~lew l",
        frontal="przednio_tyln* przod",
        not_frontal="boczne boczny boczna bocznie ~bok skosn* osiow* tunelow*",
        other_parts="biodr* miednic* nadgarst* lokiec lokcia stopa stopy kregoslup*",
        both="oba obu obydw*",
    ),
    Language(  # Czech, Slovak
        knee="kolen* patel*",
        right="~pravy ~prava ~prave ~praveho vpravo p",
        left="~levy ~leva ~leve ~leveho vlevo ~lavy ~lave l",
        frontal="predozadni",
        not_frontal="bocni* bocne bocna ~bok sikm* tunelov*",
        other_parts="kycel kycle kycel* panev zapesti loket rameno kotnik",
        both="obe obou oboch",
    ),
    Language(  # Croatian, Serbian, Slovene
        knee="koljen* kolen*",
        right="~desno ~desni ~desnog ~desna",
        left="~lijevo ~lijevi ~lijevog ~levo ~levi ~levog",
        not_frontal="bocno ~profil kosa stranska",
        other_parts="kuk zdjelic*",
        both="oba",
    ),
    Language(  # Russian
        knee="колен*",
        right="правый правая правое правого правой правом справа прав",
        left="левый левая левое левого левой левом слева лев",
        frontal="прямая прямой фас передне_задн* переднезадн*",
        not_frontal="боков* бок аксиальн* косая косой тангенциальн* туннельн* профиль",
        other_parts=(
            "тазобедр* таз таза кисть кисти лучезапястн* локт* плеч* стопа стопы голеностоп* "
            "грудн* позвоночник* череп*"
        ),
        both="обоих оба обе обеих",
    ),
    Language(  # Ukrainian
        knee="колін*",
        right="правий права праве правого правої",
        left="лівий ліва ліве лівого лівої зліва",
        frontal="пряма",
        not_frontal="бічна бокова бічній",
        other_parts="кульшов* стопа",
        both="обох обидва",
    ),
    Language(  # Swedish
        knee="kna knaet knan knaled*",
        right="hoger ~ho h",
        left="vanster ~va v",
        not_frontal="~sida sidobild* sidovy snedbild*",
        other_parts="hoft* backen handled armbage axel fotled",
        both="bada",
    ),
    Language(  # Danish, Norwegian
        knee="knæ knæet knæled* knae kne kneet kneledd*",
        right="højre hojre høyre hoyre ~hø ~ho h",
        left="venstre ~ve v",
        not_frontal="~side sidebilde* sideoptagelse* ~skra ~skrå",
        other_parts="hofte* bekken bækken håndled* albue skulder ankel",
        both="begge",
    ),
    Language(  # Finnish
        knee="polvi polven polvet polv*",
        right="oikea oikean ~oik",
        left="vasen vasemman vasemmasta ~vas",
        not_frontal="sivukuva* ~sivu viisto*",
        other_parts="lonkka* lantio ranne kyynar* olkapaa nilkka*",
        both="molemmat molempien",
    ),
    Language(  # Turkish
        knee="diz dizi",
        right="~sag",
        left="~sol",
        frontal="~on_arka",
        not_frontal="~yan",
        other_parts="~kalca ~omuz ~bilek",
        both="her_iki",
    ),
    Language(  # Hungarian
        knee="terd*",
        right="~jobb ~jo",
        left="~bal",
        not_frontal="~oldal* oldaliranyu",
        other_parts="csipo* medence csuklo boka",
        both="mindket*",
    ),
    Language(  # Romanian
        knee="genunchi*",
        right="~drept ~dreapta ~dr",
        left="~stang ~stanga ~stg",
        frontal="~fata",
        not_frontal="~profil",
        other_parts="sold bazin umar glezna",
        both="ambii ambele",
    ),
    Language(  # Greek
        knee="γονατ*",
        right="δεξι* δε",
        left="αριστερ* αρ",
        frontal="προσθιοπισθι*",
        not_frontal="πλαγι* αξονικ*",
        other_parts="ισχι* λεκαν*",
        both="αμφοτερ*",
    ),
    Language(  # Vietnamese
        knee="goi",
        right="~phai",
        left="~trai",
        frontal="~thang",
        not_frontal="~nghieng",
        both="~hai",
    ),
    Language(  # Indonesian, Malay
        knee="lutut",
        right="kanan",
        left="kiri",
        frontal="depan",
        not_frontal="~samping",
        both="kedua",
    ),
    Language(  # Chinese, Japanese
        knee="膝 髌 髕",
        right="右",
        left="左",
        frontal="正位 正面 正侧 正側 前后 前後 後前 后前 双斜",
        not_frontal=(
            "侧位 側位 側面 斜位 轴位 軸位 軸写 切线 切線 髁间 髁間 顆間 スカイライン トンネル"
        ),
        other_parts=(
            "髋 髖 股関節 骨盆 骨盤 手部 手指 腕 肘 肩 足部 足关 足関 踝 胸 腰椎 颈椎 頸椎 頚椎 颅"
        ),
        both="双 雙 两 兩 両",
    ),
    Language(  # Korean
        knee="슬관절 무릎 슬개",
        right="우측 오른 우슬 우",
        left="좌측 왼 좌슬 좌",
        frontal="정면 전후",
        not_frontal="측면 사위 축상 스카이라인",
        other_parts="고관절 손목 팔꿈치 어깨 발목 흉부 척추 골반",
        both="양측 양슬 양",
    ),
    Language(  # Thai
        knee="เข่า",
        right="ขวา",
        left="ซ้าย",
        not_frontal="ด้านข้าง",
        other_parts="สะโพก",
        both="สองข้าง",
    ),
    Language(  # Arabic
        knee="الركبة ركبة الركبه ركبه",
        right="اليمنى يمنى ايمن الايمن يمين",
        left="اليسرى يسرى ايسر الايسر يسار",
        not_frontal="جانبي جانبية الجانبية",
        other_parts="الورك الحوض الكتف اليد",
        both="الركبتين",
    ),
    Language(  # Hebrew
        knee="ברך הברך ברכיים",
        right="ימין ימנית ימני",
        left="שמאל שמאלית שמאלי",
        not_frontal="צד צידי",
        other_parts="ירך אגן כתף",
        both="שתי",
    ),
)
