# A small natural-language-inference corpus in ten languages and six scripts, from a grammar: what `make demo` trains on.
#   LC_ALL=C awk -f demo_corpus.awk -v dir=OUT [-v languages=en,de] [-v train=15000] [-v share=2100] [-v dev=300] [-v test=600]
# writes OUT/{train,dev,test}-{lang}.tsv in XTREME's form (premise, hypothesis, label); OUT/text.txt, the sentences
# alone, for the tokenizer; and OUT/text-{train,dev}/{lang}.txt, unlabelled text for pretraining: a
# document (lines up to a blank one) is an event with what follows from it and what may be added, so nothing in it
# contradicts. The first language gets `train` examples, each other one `share`, rounded down to whole triples; text there
# is of every event in every language.
#
# A premise is an event: somebody does something to something, with two of the three adjuncts place, company and time. It
# gets one hypothesis of each label, so the classes are balanced exactly:
#   entailment     adjuncts dropped, a place made general (inside, outside), the subject too (someone)
#   contradiction  the verb denied or replaced by its opposite, another time, inside for outside, alone for in company
#   neutral        the adjunct the premise is silent about, or another subject or object
# Both sentences speak of the same event, as in SNLI. The task is made for a very small model: a denied or opposite verb
# occurs only in contradictions, as a crude form of the cues that real corpora hold; the other half has to be found by
# comparing the sentences.
#
# As in XNLI, the files of the languages are translations of each other line by line. A combination of subject, verb
# pair and object belongs to one split, so no premise of dev or test occurs in train.
#
# The random numbers are our own (Park and Miller 1988), all arithmetic is exact in a double, and nothing depends on
# the locale: every awk writes the same bytes.

function below(n) {                     # a random integer in 0 .. n-1
    state = (state * 16807) % 2147483647
    return int(state / 2147483647 * n)
}

# ---- The words. Subjects, places and companions are in the same order in every language; verbs stand in pairs of
# opposites, each as affirmed/denied (one form where a particle denies), and each pair has four objects of its own.

function words(lang, kind, list,    part, n, i) {
    n = split(list, part, "|")
    for (i = 1; i <= n; i++)
        word[lang, kind, i] = part[i]
}

function language(lang, letters, particle, stop, general, times,    part) {
    known[lang] = 1
    order[lang] = letters
    deny[lang] = particle
    full_stop[lang] = stop
    split(general, part, "|")           # someone, outside, inside, alone
    word[lang, "S", 0] = part[1]
    word[lang, "P", 9] = part[2]
    word[lang, "P", 10] = part[3]
    word[lang, "W", 5] = part[4]
    words(lang, "T", times)             # 5 to 11 o'clock
}

# Order letters: S subject, V verb, O object, N particle of denial, P place, W with whom, T time.
function lexicon() {
    language("en", "SVOWPT", "", ".", "Someone|outside|inside|alone",
        "at 5 o'clock|at 6 o'clock|at 7 o'clock|at 8 o'clock|at 9 o'clock|at 10 o'clock|at 11 o'clock")
    words("en", "S", "The teacher|The doctor|The farmer|The student|The cook|The driver|The soldier|The musician" \
        "|The neighbour|The merchant")
    words("en", "V", "opens/does not open|closes/does not close|buys/does not buy|sells/does not sell" \
        "|finds/does not find|loses/does not lose|builds/does not build|destroys/does not destroy" \
        "|learns/does not learn|forgets/does not forget|hides/does not hide|shows/does not show")
    words("en", "O", "the door|the window|the box|the bag|the bread|the fish|the car|the house|the key|the ring" \
        "|the ticket|the money|the wall|the bridge|the tower|the hut|the name|the song|the address|the story" \
        "|the picture|the letter|the gift|the map")
    words("en", "P", "in the garden|in the forest|on the square|by the river|in the kitchen|in the school" \
        "|in the hospital|in the library")
    words("en", "W", "with a friend|with the guests|with the family|with a colleague")

    language("de", "SVONWPT", "nicht", ".", "Jemand|draußen|drinnen|allein",
        "um 5 Uhr|um 6 Uhr|um 7 Uhr|um 8 Uhr|um 9 Uhr|um 10 Uhr|um 11 Uhr")
    words("de", "S", "Der Lehrer|Der Arzt|Der Bauer|Der Student|Der Koch|Der Fahrer|Der Soldat|Der Musiker" \
        "|Der Nachbar|Der Händler")
    words("de", "V", "öffnet|schließt|kauft|verkauft|findet|verliert|baut|zerstört|lernt|vergisst|versteckt|zeigt")
    words("de", "O", "die Tür|das Fenster|die Kiste|die Tasche|das Brot|den Fisch|das Auto|das Haus|den Schlüssel" \
        "|den Ring|die Fahrkarte|das Geld|die Mauer|die Brücke|den Turm|die Hütte|den Namen|das Lied|die Adresse" \
        "|die Geschichte|das Bild|den Brief|das Geschenk|die Karte")
    words("de", "P", "im Garten|im Wald|auf dem Platz|am Fluss|in der Küche|in der Schule|im Krankenhaus" \
        "|in der Bibliothek")
    words("de", "W", "mit einem Freund|mit den Gästen|mit der Familie|mit einem Kollegen")

    language("es", "SNVOWPT", "no", ".", "Alguien|fuera|dentro|solo",
        "a las 5|a las 6|a las 7|a las 8|a las 9|a las 10|a las 11")
    words("es", "S", "El maestro|El médico|El campesino|El estudiante|El cocinero|El conductor|El soldado|El músico" \
        "|El vecino|El comerciante")
    words("es", "V", "abre|cierra|compra|vende|encuentra|pierde|construye|destruye|aprende|olvida|esconde|muestra")
    words("es", "O", "la puerta|la ventana|la caja|la bolsa|el pan|el pescado|el coche|la casa|la llave|el anillo" \
        "|el billete|el dinero|el muro|el puente|la torre|la cabaña|el nombre|la canción|la dirección|la historia" \
        "|el cuadro|la carta|el regalo|el mapa")
    words("es", "P", "en el jardín|en el bosque|en la plaza|junto al río|en la cocina|en la escuela|en el hospital" \
        "|en la biblioteca")
    words("es", "W", "con un amigo|con los invitados|con la familia|con un colega")

    language("tr", "STPWOV", "", ".", "Biri|dışarıda|içeride|tek başına",
        "saat 5'te|saat 6'da|saat 7'de|saat 8'de|saat 9'da|saat 10'da|saat 11'de")
    words("tr", "S", "Öğretmen|Doktor|Çiftçi|Öğrenci|Aşçı|Şoför|Asker|Müzisyen|Komşu|Tüccar")
    words("tr", "V", "açıyor/açmıyor|kapatıyor/kapatmıyor|alıyor/almıyor|satıyor/satmıyor|buluyor/bulmuyor" \
        "|kaybediyor/kaybetmiyor|inşa ediyor/inşa etmiyor|yıkıyor/yıkmıyor|öğreniyor/öğrenmiyor|unutuyor/unutmuyor" \
        "|saklıyor/saklamıyor|gösteriyor/göstermiyor")
    words("tr", "O", "kapıyı|pencereyi|kutuyu|çantayı|ekmeği|balığı|arabayı|evi|anahtarı|yüzüğü|bileti|parayı|duvarı" \
        "|köprüyü|kuleyi|kulübeyi|ismi|şarkıyı|adresi|hikâyeyi|resmi|mektubu|hediyeyi|haritayı")
    words("tr", "P", "bahçede|ormanda|meydanda|nehir kenarında|mutfakta|okulda|hastanede|kütüphanede")
    words("tr", "W", "bir arkadaşla|misafirlerle|ailesiyle|bir meslektaşla")

    language("sw", "SVOWPT", "", ".", "Mtu fulani|nje|ndani|peke yake",
        "saa 5|saa 6|saa 7|saa 8|saa 9|saa 10|saa 11")
    words("sw", "S", "Mwalimu|Daktari|Mkulima|Mwanafunzi|Mpishi|Dereva|Askari|Mwanamuziki|Jirani|Mfanyabiashara")
    words("sw", "V", "anafungua/hafungui|anafunga/hafungi|ananunua/hanunui|anauza/hauzi|anapata/hapati" \
        "|anapoteza/hapotezi|anajenga/hajengi|anabomoa/habomoi|anakumbuka/hakumbuki|anasahau/hasahau" \
        "|anaficha/hafichi|anaonyesha/haonyeshi")
    words("sw", "O", "mlango|dirisha|sanduku|mfuko|mkate|samaki|gari|nyumba|ufunguo|pete|tiketi|pesa|ukuta|daraja" \
        "|mnara|kibanda|jina|wimbo|anwani|hadithi|picha|barua|zawadi|ramani")
    words("sw", "P", "bustanini|msituni|uwanjani|kando ya mto|jikoni|shuleni|hospitalini|maktabani")
    words("sw", "W", "na rafiki|na wageni|na familia|na mwenzake")

    language("ru", "SNVOWPT", "не", ".", "Кто-то|снаружи|внутри|в одиночку",
        "в 5 часов|в 6 часов|в 7 часов|в 8 часов|в 9 часов|в 10 часов|в 11 часов")
    words("ru", "S", "Учитель|Врач|Крестьянин|Студент|Повар|Водитель|Солдат|Музыкант|Сосед|Торговец")
    words("ru", "V", "открывает|закрывает|покупает|продаёт|находит|теряет|строит|разрушает|учит|забывает|прячет" \
        "|показывает")
    words("ru", "O", "дверь|окно|ящик|сумку|хлеб|рыбу|машину|дом|ключ|кольцо|билет|деньги|стену|мост|башню|хижину|имя" \
        "|песню|адрес|рассказ|картину|письмо|подарок|карту")
    words("ru", "P", "в саду|в лесу|на площади|у реки|на кухне|в школе|в больнице|в библиотеке")
    words("ru", "W", "с другом|с гостями|с семьёй|с коллегой")

    language("el", "SNVOWPT", "δεν", ".", "Κάποιος|έξω|μέσα|μόνος",
        "στις 5|στις 6|στις 7|στις 8|στις 9|στις 10|στις 11")
    words("el", "S", "Ο δάσκαλος|Ο γιατρός|Ο αγρότης|Ο φοιτητής|Ο μάγειρας|Ο οδηγός|Ο στρατιώτης|Ο μουσικός" \
        "|Ο γείτονας|Ο έμπορος")
    words("el", "V", "ανοίγει|κλείνει|αγοράζει|πουλάει|βρίσκει|χάνει|χτίζει|καταστρέφει|μαθαίνει|ξεχνάει|κρύβει|δείχνει")
    words("el", "O", "την πόρτα|το παράθυρο|το κουτί|την τσάντα|το ψωμί|το ψάρι|το αυτοκίνητο|το σπίτι|το κλειδί" \
        "|το δαχτυλίδι|το εισιτήριο|τα χρήματα|τον τοίχο|τη γέφυρα|τον πύργο|την καλύβα|το όνομα|το τραγούδι" \
        "|τη διεύθυνση|την ιστορία|την εικόνα|το γράμμα|το δώρο|τον χάρτη")
    words("el", "P", "στον κήπο|στο δάσος|στην πλατεία|δίπλα στο ποτάμι|στην κουζίνα|στο σχολείο|στο νοσοκομείο" \
        "|στη βιβλιοθήκη")
    words("el", "W", "με έναν φίλο|με τους καλεσμένους|με την οικογένεια|με έναν συνάδελφο")

    language("ar", "SNVOWPT", "لا", ".", "شخص ما|في الخارج|في الداخل|وحده",
        "في الساعة 5|في الساعة 6|في الساعة 7|في الساعة 8|في الساعة 9|في الساعة 10|في الساعة 11")
    words("ar", "S", "المعلم|الطبيب|الفلاح|الطالب|الطباخ|السائق|الجندي|الموسيقي|الجار|التاجر")
    words("ar", "V", "يفتح|يغلق|يشتري|يبيع|يجد|يفقد|يبني|يهدم|يحفظ|ينسى|يخفي|يعرض")
    words("ar", "O", "الباب|النافذة|الصندوق|الحقيبة|الخبز|السمك|السيارة|البيت|المفتاح|الخاتم|التذكرة|المال|الجدار" \
        "|الجسر|البرج|الكوخ|الاسم|الأغنية|العنوان|القصة|الصورة|الرسالة|الهدية|الخريطة")
    words("ar", "P", "في الحديقة|في الغابة|في الساحة|عند النهر|في المطبخ|في المدرسة|في المستشفى|في المكتبة")
    words("ar", "W", "مع صديق|مع الضيوف|مع العائلة|مع زميل")

    language("hi", "STPWOV", "", " ।", "कोई|बाहर|अंदर|अकेले",
        "5 बजे|6 बजे|7 बजे|8 बजे|9 बजे|10 बजे|11 बजे")
    words("hi", "S", "शिक्षक|डॉक्टर|किसान|छात्र|रसोइया|ड्राइवर|सैनिक|संगीतकार|पड़ोसी|व्यापारी")
    words("hi", "V", "खोलता है/नहीं खोलता|बंद करता है/बंद नहीं करता|खरीदता है/नहीं खरीदता|बेचता है/नहीं बेचता" \
        "|पाता है/नहीं पाता|खोता है/नहीं खोता|बनाता है/नहीं बनाता|तोड़ता है/नहीं तोड़ता|याद करता है/याद नहीं करता" \
        "|भूलता है/नहीं भूलता|छिपाता है/नहीं छिपाता|दिखाता है/नहीं दिखाता")
    words("hi", "O", "दरवाज़ा|खिड़की|डिब्बा|थैला|रोटी|मछली|गाड़ी|मकान|चाबी|अँगूठी|टिकट|पैसा|दीवार|पुल|मीनार|झोपड़ी|नाम|गाना|पता|कहानी" \
        "|तस्वीर|चिट्ठी|तोहफ़ा|नक्शा")
    words("hi", "P", "बगीचे में|जंगल में|चौक में|नदी के किनारे|रसोई में|स्कूल में|अस्पताल में|पुस्तकालय में")
    words("hi", "W", "एक दोस्त के साथ|मेहमानों के साथ|परिवार के साथ|एक सहकर्मी के साथ")

    language("zh", "STNWPVO", "没有", "。", "有人|在外面|在里面|独自", "5点|6点|7点|8点|9点|10点|11点")
    words("zh", "S", "老师|医生|农民|学生|厨师|司机|士兵|音乐家|邻居|商人")
    words("zh", "V", "打开|关上|买|卖|找到|弄丢|建造|拆掉|记住|忘记|藏起|展示")
    words("zh", "O", "门|窗户|箱子|包|面包|鱼|汽车|房子|钥匙|戒指|车票|钱|墙|桥|塔|小屋|名字|歌曲|地址|故事|照片|信|礼物|地图")
    words("zh", "P", "在花园里|在森林里|在广场上|在河边|在厨房里|在学校里|在医院里|在图书馆里")
    words("zh", "W", "和朋友|和客人|和家人|和同事")
}

# ---- Events. An event is an array: S 0..10 (0 someone), pair 1..6, side 1..2, denied 0/1, O 1..4, and the adjuncts, 0
# for none: P 1..8 a place, of which 1..4 are outside, 9 outside, 10 inside; W 1..4 company, 5 alone; T 1..7.

# Which split the combination belongs to: about 70 % train, 15 % dev, 15 % test.
function home(s, pair, o,    h) {
    h = (s * 7919 + pair * 104729 + o * 1299709) % 9973 % 20
    return h < 14 ? "train" : h < 17 ? "dev" : "test"
}

# A premise has two of the three adjuncts.
function draw_premise(split_name,    silent) {
    do {
        a["S"] = 1 + below(10)
        a["pair"] = 1 + below(6)
        a["O"] = 1 + below(4)
    } while (home(a["S"], a["pair"], a["O"]) != split_name)
    a["side"] = 1
    a["denied"] = 0
    silent = below(3)
    a["P"] = silent == 0 ? 0 : 1 + below(8)
    a["W"] = silent == 1 ? 0 : 1 + below(5)
    a["T"] = silent == 2 ? 0 : 1 + below(7)
}

# One of the choices "word word ...", at random.
function choose(list,    part, n) {
    n = split(list, part, " ")
    return part[1 + below(n)]
}

# Makes the hypothesis say less; whatever it says stays true.
function weaken(    list) {
    list = (b["T"] ? "T " : "") (b["W"] ? "W " : "") (b["P"] ? "P " : "") (b["P"] && b["P"] < 9 ? "general " : "") \
        (b["S"] && !b["denied"] ? "someone" : "")
    if (list == "")
        return
    list = choose(list)
    if (list == "general")
        b["P"] = b["P"] < 5 ? 9 : 10
    else if (list == "someone")
        b["S"] = 0
    else
        b[list] = 0
}

function entail() {
    weaken()
    if (below(2))
        weaken()
}

function contradict(    how) {
    if (below(2))
        weaken()
    how = choose((b["S"] ? "deny deny deny opposite opposite opposite " : "opposite ") (b["T"] ? "T " : "") (b["P"] ? "P " : "") \
        (b["W"] ? "W " : ""))
    if (how == "deny")
        b["denied"] = 1
    else if (how == "opposite")
        b["side"] = 3 - b["side"]
    else if (how == "T")
        b["T"] = 1 + (b["T"] + below(6)) % 7
    else if (how == "P")
        b["P"] = b["P"] < 5 || b["P"] == 9 ? 10 : 9
    else
        b["W"] = b["W"] == 5 ? 1 + below(4) : 5
}

function neutral(split_name,    how, s, o, tries) {
    if (below(2))
        weaken()
    how = choose((a["T"] ? "" : "T T T ") (a["P"] ? "" : "P P P ") (a["W"] ? "" : "W W W ") (b["S"] ? "S" : "O"))
    if (how == "T" || how == "P" || how == "W") {
        b[how] = 1 + below(how == "T" ? 7 : how == "P" ? 10 : 5)
        return
    }
    do {                                # another subject or object of the same split; if one does not do, both
        tries++
        s = b["S"] && (how == "S" || tries > 20) ? 1 + below(10) : b["S"]
        o = how == "O" || tries > 20 ? 1 + below(4) : b["O"]
    } while ((s == b["S"] && o == b["O"]) || (s && home(s, b["pair"], o) != split_name))
    b["S"] = s
    b["O"] = o
}

# ---- Sentences

# The words of one letter of the order; empty where the event has none.
function slot(lang, letter, e,    form, verb) {
    if (letter == "N")
        return e["denied"] ? deny[lang] : ""
    if (letter == "O")
        return word[lang, "O", 4 * (e["pair"] - 1) + e["O"]]
    if (letter != "V")
        return word[lang, letter, e[letter]]
    verb = word[lang, "V", 2 * (e["pair"] - 1) + e["side"]]
    return split(verb, form, "/") == 2 ? form[1 + e["denied"]] : verb
}

function sentence(lang, e,    text, i, part, gap, letters) {
    letters = order[lang]
    for (i = 1; i <= length(letters); i++) {
        part = slot(lang, substr(letters, i, 1), e)
        gap = text == "" || lang == "zh" ? "" : " "
        if (part != "")
            text = text gap part
    }
    return text full_stop[lang]
}

function write_pair(lang, split_name, label,    premise, hypothesis) {
    premise = sentence(lang, a)
    hypothesis = sentence(lang, b)
    print premise "\t" hypothesis "\t" label > (dir "/" split_name "-" lang ".tsv")
    if (split_name == "train")
        print premise "\n" hypothesis > (dir "/text.txt")
}

# Adds to the language's document of the event: the premise first, then what agrees with it.
function tell(lang, split_name, with_premise, with_hypothesis,    file) {
    file = dir "/text-" split_name "/" lang ".txt"
    if (with_premise)
        print "\n" sentence(lang, a) > file
    if (with_hypothesis)
        print sentence(lang, b) > file
}

# Every word alone on a line. sentencepiece takes its first candidates from strings with more than one continuation, and in
# the sentences some words have only one: without this, "The" would never be a piece.
function write_words(lang,    key, part, one, n, i, list) {
    split("S V O P W T", part, " ")
    for (key = 1; key <= 6; key++)
        for (i = 0; (lang SUBSEP part[key] SUBSEP i) in word || i == 0; i++)
            list = list " " word[lang, part[key], i]
    gsub("/", " ", list)
    n = split(list " " deny[lang], one, " ")
    for (i = 1; i <= n; i++)
        print one[i] > (dir "/text.txt")
}

# `examples[lang]` pairs of one split in every language, the longest list deciding how far to go.
function write_split(split_name, seed, longest,    i, k, l, key, first, label) {
    state = seed
    for (i = 0; i + 3 <= longest; i += 3) {
        draw_premise(split_name)
        first = below(3)
        for (k = 0; k < 3; k++) {
            for (key in a)
                b[key] = a[key]
            label = (first + k) % 3
            if (label == 0)
                entail()
            else if (label == 1)
                neutral(split_name)
            else
                contradict()
            for (l = 1; l <= n_languages; l++)
                if (i + 3 <= examples[split_name, l])
                    write_pair(names[l], split_name, label == 0 ? "entailment" : label == 1 ? "neutral" : "contradiction")
            for (l = 1; l <= n_languages && split_name != "test"; l++)
                tell(names[l], split_name, k == 0, label != 2)
        }
    }
}

BEGIN {
    lexicon()
    if (dir == "") {
        print "demo_corpus.awk: no folder to write to; give one with -v dir=FOLDER" > "/dev/stderr"
        exit 2
    }
    if (languages == "") languages = "en,de,es,tr,sw,ru,el,ar,hi,zh"
    if (train == "") train = 15000
    if (share == "") share = 2100
    if (dev == "") dev = 300
    if (test == "") test = 600
    system("mkdir -p '" dir "/text-train' '" dir "/text-dev'")
    n_languages = split(languages, names, ",")
    for (l = 1; l <= n_languages; l++) {
        if (!(names[l] in known)) {
            print "demo_corpus.awk: no words for the language '" names[l] "'; known: en,de,es,tr,sw,ru,el,ar,hi,zh" > "/dev/stderr"
            exit 2
        }
        examples["train", l] = l == 1 ? train : share
        examples["dev", l] = dev
        examples["test", l] = test
        write_words(names[l])
    }
    write_split("train", 1, train > share ? train : share)
    write_split("dev", 1000003, dev)
    write_split("test", 2000003, test)
}
