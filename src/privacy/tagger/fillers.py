"""Entities to put into the slots of sentences: names, places, organisations, addresses.

Names and places come from Faker (MIT licence), whose lists cover some forty locales; organisations,
jobs, countries and nationalities are lists of our own and combinations of their parts.
"""

import random

from faker import Faker

LOCALES = ("en_US en_GB en_AU en_NZ en_IE en_IN de_DE de_AT de_CH fr_FR fr_CH fr_CA it_IT es_ES es_MX es_AR pt_PT pt_BR nl_NL nl_BE "
           "da_DK no_NO sv_SE fi_FI is_IS pl_PL cs_CZ sk_SK hu_HU ro_RO hr_HR sl_SI lt_LT lv_LV et_EE tr_TR el_GR ru_RU uk_UA bg_BG "
           "id_ID vi_VN ga_IE").split()
ROMAN_EXTRA = ("Aiko Akira Asuka Haruki Hiroshi Kaito Kenji Mariko Naoko Ryota Sakura Satoshi Takeshi Yuki Yumi Li Wei Wang Zhang Liu "
               "Chen Yang Huang Zhao Wu Zhou Xu Sun Ma Zhu Hu Guo Lin He Gao Luo Mei Xiu Jing Tao Ming Jun Hao Lei Fang Ying Min-jun "
               "Ji-woo Seo-yeon Kim Park Lee Choi Jung Kang Cho Yoon Jang Lim Han Oh Shin Nguyen Tran Pham Ahmed Mohammed Ali Fatima "
               "Aisha Omar Hassan Hussein Khalid Layla Yusuf Ibrahim Zainab Maryam Abdullah Rahman Khan Malik Iqbal Sharma Patel Singh "
               "Gupta Kumar Reddy Nair Iyer Priya Anjali Rahul Arjun Ravi Sanjay Deepa Chidi Ngozi Amara Kwame Kofi Adaeze Emeka Oluwaseun "
               "Thabo Sipho Zanele Abebe Tesfaye Almaz Wanjiru Kamau Otieno Malaika Selam Yonas Minik Aputsiaq Malik Nivi").split()
SURNAME_EXTRA = ("Yamamoto Tanaka Suzuki Watanabe Ito Nakamura Kobayashi Kato Yoshida Yamada Sasaki Matsumoto Inoue Kimura Hayashi Shimizu "
                 "Mori Ikeda Okonkwo Adeyemi Mensah Diallo Traore Ndiaye Mbeki Dlamini Haile Bekele Mwangi Odhiambo Al-Farsi El-Amin "
                 "Haddad Nasser Aziz Rahimi Hosseini Ahmadi Karimi Yilmaz Demir Kaya Celik Petrosyan Gevorgyan Beridze Umarov Dzhabrailov "
                 "Akhmadov Kadyrov Abramov Petrov Ivanov Sokolova Morozova Kovalenko Shevchenko Bondarenko Jovanović Petrović Nikolić "
                 "Marković Đorđević Stojanović Popović Hansen Petersen Jeremiassen Guðmundsdóttir Jónsson Sigurðardóttir O'Brien O'Neill "
                 "McDonald MacLeod Fitzgerald van den Berg de Vries de la Cruz von Braun").split()

COUNTRIES = """Afghanistan Albania Algeria Andorra Angola Argentina Armenia Australia Austria Azerbaijan Bahamas Bahrain Bangladesh Barbados
Belarus Belgium Belize Benin Bhutan Bolivia Botswana Brazil Brunei Bulgaria Burundi Cambodia Cameroon Canada Chad Chile China Colombia
Croatia Cuba Cyprus Denmark Dominica Ecuador Egypt Eritrea Estonia Ethiopia Fiji Finland France Gabon Gambia Georgia Germany Ghana Greece
Greenland Grenada Guatemala Guinea Guyana Haiti Honduras Hungary Iceland India Indonesia Iran Iraq Ireland Israel Italy Jamaica Japan
Jordan Kazakhstan Kenya Kosovo Kuwait Kyrgyzstan Laos Latvia Lebanon Lesotho Liberia Libya Liechtenstein Lithuania Luxembourg Madagascar
Malawi Malaysia Maldives Mali Malta Mauritius Mexico Moldova Monaco Mongolia Montenegro Morocco Mozambique Namibia Nepal Netherlands
Nicaragua Niger Nigeria Norway Oman Pakistan Panama Paraguay Peru Philippines Poland Portugal Qatar Romania Russia Rwanda Samoa Senegal
Serbia Singapore Slovakia Slovenia Somalia Spain Sudan Suriname Sweden Switzerland Syria Taiwan Tajikistan Tanzania Thailand Togo Tonga
Tunisia Turkey Turkmenistan Uganda Ukraine Uruguay Uzbekistan Venezuela Vietnam Yemen Zambia Zimbabwe England Scotland Wales""".split() + [
    "United States", "United Kingdom", "New Zealand", "South Africa", "South Korea", "North Korea", "Czech Republic", "Costa Rica",
    "El Salvador", "Saudi Arabia", "Sri Lanka", "Sierra Leone", "Ivory Coast", "Burkina Faso", "Dominican Republic", "Puerto Rico",
    "Papua New Guinea", "United Arab Emirates", "North Macedonia", "the Netherlands", "the United States", "USA", "UK", "U.S.", "Australia"]
NATIONALITIES = """Afghan Albanian Algerian American Angolan Argentine Argentinian Armenian Australian Austrian Azerbaijani Bahraini Bangladeshi
Belarusian Belgian Bolivian Bosnian Brazilian British Bulgarian Cambodian Cameroonian Canadian Chechen Chilean Chinese Colombian Croatian
Cuban Cypriot Czech Danish Dutch Ecuadorean Egyptian English Eritrean Estonian Ethiopian Filipino Finnish French Gambian Georgian German
Ghanaian Greek Greenlandic Guatemalan Haitian Honduran Hungarian Icelandic Indian Indonesian Iranian Iraqi Irish Israeli Italian Jamaican
Japanese Jordanian Kazakh Kenyan Korean Kosovan Kurdish Kuwaiti Laotian Latvian Lebanese Liberian Libyan Lithuanian Malaysian Maltese
Mexican Moldovan Mongolian Moroccan Mozambican Namibian Nepalese Nicaraguan Nigerian Norwegian Omani Pakistani Palestinian Panamanian
Paraguayan Persian Peruvian Polish Portuguese Qatari Romanian Russian Rwandan Saudi Scottish Senegalese Serbian Singaporean Slovak
Slovenian Somali Spanish Sudanese Swedish Swiss Syrian Taiwanese Tajik Tanzanian Thai Tibetan Tunisian Turkish Ugandan Ukrainian
Uruguayan Uzbek Venezuelan Vietnamese Welsh Yemeni Zambian Zimbabwean Catholic Protestant Muslim Jewish Hindu Buddhist Sikh Christian
Republican Democrat Conservative Basque Catalan African Asian European Arab Sunni Shiite Mormon Communist""".split()
PEOPLES = """Swedes Danes Finns Turks Poles Scots Brits Spaniards Frenchmen Englishmen Irishmen Dutchmen Serbs Croats Slovaks Czechs Kurds Arabs Jews
Muslims Christians Hindus Buddhists Sikhs Catholics Protestants Shiites Sunnis Republicans Democrats Conservatives Basques Catalans
Icelanders Filipinos Thais Chinese Japanese Portuguese Swiss Vietnamese""".split() + [
    n + "s" for n in NATIONALITIES if n.endswith(("an", "i", "ian"))]
US_STATES = """Alabama Alaska Arizona Arkansas California Colorado Connecticut Delaware Florida Hawaii Idaho Illinois Indiana Iowa Kansas Kentucky
Louisiana Maine Maryland Massachusetts Michigan Minnesota Mississippi Missouri Montana Nebraska Nevada Ohio Oklahoma Oregon Pennsylvania
Tennessee Texas Utah Vermont Virginia Washington Wisconsin Wyoming""".split() + ["New York", "New Jersey", "New Mexico", "North Carolina", "South Dakota"]
BIG_CITIES = """London Paris Berlin Madrid Rome Vienna Amsterdam Brussels Lisbon Dublin Oslo Stockholm Copenhagen Helsinki Reykjavik Warsaw Prague
Budapest Bucharest Sofia Athens Istanbul Moscow Kyiv Minsk Riga Vilnius Tallinn Zagreb Ljubljana Belgrade Sarajevo Tirana Skopje Tokyo Osaka
Kyoto Beijing Shanghai Seoul Bangkok Hanoi Jakarta Manila Delhi Mumbai Kolkata Chennai Bangalore Karachi Lahore Dhaka Tehran Baghdad Cairo
Lagos Nairobi Accra Johannesburg Durban Tunis Casablanca Sydney Melbourne Brisbane Perth Auckland Wellington Toronto Montreal Vancouver
Ottawa Calgary Chicago Boston Seattle Denver Dallas Houston Austin Miami Atlanta Detroit Phoenix Portland Baltimore Philadelphia Memphis
Lima Bogota Quito Caracas Santiago Montevideo Salvador Recife Havana Munich Hamburg Cologne Frankfurt Stuttgart Leipzig Dresden Zurich
Geneva Basel Milan Naples Turin Venice Florence Barcelona Valencia Seville Porto Lyon Marseille Nice Bordeaux Lille Glasgow Edinburgh
Manchester Liverpool Leeds Bristol Cardiff Belfast Cork Galway Rotterdam Utrecht Antwerp Ghent Bergen Malmö Aarhus Turku Gdańsk Kraków""".split() + [
    "New York", "Los Angeles", "San Francisco", "San Diego", "Las Vegas", "New Orleans", "Buenos Aires", "Rio de Janeiro", "São Paulo",
    "Mexico City", "Cape Town", "Hong Kong", "St. Petersburg", "Abu Dhabi", "Kuala Lumpur", "Salt Lake City", "The Hague", "Tel Aviv"]
CITY_PARTS = (["Stoke", "Upper", "Lower", "Great", "Little", "New", "Old", "East", "West", "North", "South", "Saint", "St", "Mount", "Port", "Lake",
               "Fort", "Castle", "Villa", "San", "Santa", "Bad", "Velká", "Horní", "Dolní", "Novi", "Stara", "Nova", "Puerto", "Villar", "Colle", "Monte", "La", "Le"],
              ["ham", "ton", "by", "borough", "ford", "field", "worth", "wick", "ley", "stead", "bridge", "mouth", "burg", "dorf", "heim", "hausen",
               "stadt", "bach", "ville", "court", "gnano", "ano", "ella", "ito", "ów", "ice", "ovo", "ovice", "háza", "falva", "fjörður", "vík",
               "hreppur", "vik", "sund", "stad", "ås", "näs", "torp", "lev", "strup", "rup", "järvi", "lahti", "koski", "mäki", "ene", "iai", "inge",
               "drecht", "dijk", "veen", "beek", "gem", "zele"])
ROOTS = """Acme Able Agro Alpha Amber Anchor Apex Aqua Arc Astra Atlas Aura Bay Beacon Bio Blue Bright Brook Build Byte Cap Capital Care Cell Chem Civic
Clear Cloud Code Core Credit Cyber Data Delta Digi Eco Edge Elect Ember Energy Enter Ever Factor Farm Fin First Fleet Flight Flux Forge Fore
Fresh Fuse Fuel Gen Geo Global Gold Green Grid Growth Harbor Health Helio Home House Hub Hyper Info Inno Insight Insta Inter Iron Job Key
Land Legal Legi Life Light Link Live Logi Loop Luma Magna Map Market Max Med Mega Merit Meta Metro Micro Mind Mobi Motor Nano National Net
Neuro Next Nimbus Nord North Nova Ocean Omni Open Opti Orbit Pacific Path Patient Pay Peak Pixel Plan Point Polar Power Price Prime Pro Pub
Pulse Pure Quant Quick Radia Rail Rain Rapid Real Red Rev River Rock Safe Sat Scale Scope Secure Sense Silver Sky Smart Snap Social Soft Solar
Sono Spark Spec Spot Star Stone Storm Strat Stream Street Sun Swift Syn Tech Tele Terra Titan Top Trade Trans Trend Tri True Trust Ultra Uni
Urban Vault Vector Verd Verti Vest Vibe View Vista Vital Vox Wave Web West Wind Work World Yield Zen Zero""".split()
ENDS = """ly ify io ia ics ix ora era ology logic metrics stats scope aware grid desk point mind works ware soft base hub lab labs bank cast chain check
cloud com cube data dash flow force gate gen graph guard house ity iva link list log map mark media mine mob net nest nova on page pay peak pics
plex port pulse rank reach scan scape score sense set shift sight source span spire stack star step storm story sync team tech tel tin track
trade tron trust us ventures via view vision vue wave way well wire wise works zen""".split()
SUFFIXES = ["Inc", "Inc.", "LLC", "Ltd", "Ltd.", "Corp", "Corp.", "Corporation", "Co.", "Incorporated", "GmbH", "AG", "S.A.", "S.p.A.", "B.V.", "AB", "Oy",
            "PLC", "plc", "& Co", "Limited"]
ORG_NOUNS = """Group Holdings Systems Solutions Software Analytics Consulting Partners Associates Technologies Industries Enterprises Services Labs
Networks Media Energy Financial Insurance Bank Capital Foundation Institute Agency Research Logistics Motors Airlines Pharmaceuticals
Properties Ventures Studios Foods Electric Communications International Company Trust Society Union Council Committee Museum Hospital
Ratings Exchange Data Health Security Laboratories Press Movers Lines Engineering Explorer Advisors""".split()
ORG_ADJ = """Allied American Advanced Applied Atlantic Central City Civic Community Consumer Creative Digital Eastern Economic European Federal First
General Global Golden Green Independent Industrial Innovative International Knowledge Liberty Metropolitan Modern Mutual National Northern Open
Pacific People's Premier Public Quality Rapid Regional Royal Safe Scientific Southern Standard State Strategic Sustainable Superior Total
Trans-Pacific Union United Universal Urban Western Worldwide Chemical Environmental Weather Energy Medical Farm Bridge Ocean Mountain""".split()
KNOWN_ORGS = """Google|Microsoft|Apple|Amazon|Facebook|Meta|Netflix|Tesla|IBM|Intel|Oracle|SAP|Siemens|Bosch|Volkswagen|BMW|Daimler|Toyota|Honda|Sony|Samsung|LG|
Nokia|Ericsson|Philips|Shell|BP|Exxon|Chevron|Total|Walmart|Target|Costco|IKEA|Lidl|Aldi|Tesco|Carrefour|Unilever|Nestlé|Danone|Coca-Cola|Pepsi|
McDonald's|Starbucks|Nike|Adidas|Puma|Zara|H&M|Visa|Mastercard|PayPal|Stripe|Square|Goldman Sachs|Morgan Stanley|JPMorgan Chase|Citigroup|Barclays|
HSBC|Deutsche Bank|Credit Suisse|UBS|Santander|BNP Paribas|ING|Allianz|AXA|Zurich Insurance|Generali|Prudential|MetLife|State Farm|Geico|Allstate|
Deloitte|KPMG|PwC|Ernst & Young|McKinsey|Accenture|Capgemini|Boeing|Airbus|Lockheed Martin|Lufthansa|Delta|United Airlines|Ryanair|Pfizer|Novartis|
Roche|Bayer|Merck|Johnson & Johnson|AstraZeneca|Moderna|Verizon|AT&T|T-Mobile|Vodafone|Orange|Telefónica|Comcast|Disney|Warner Bros|Universal|BBC|CNN|
Reuters|Bloomberg|The New York Times|The Guardian|Der Spiegel|Le Monde|United Nations|NATO|UNESCO|WHO|UNICEF|European Union|EU|World Bank|IMF|Red Cross|
Greenpeace|Amnesty International|Harvard University|MIT|Stanford University|Oxford University|Yale|NASA|ESA|CERN|FBI|CIA|NSA|IRS|FDA|EPA|Congress|
Supreme Court|Dropbox|Slack|Zoom|Uber|Lyft|Airbnb|Spotify|Twitter|LinkedIn|Reddit|Pinterest|Snapchat|TikTok|Instagram|YouTube|WhatsApp|Yahoo|eBay|Etsy|
Adobe|Salesforce|VMware|Cisco|Dell|HP|Lenovo|Nvidia|AMD|Qualcomm|Broadcom|Texas Instruments|General Electric|General Motors|Ford|Chrysler|Caterpillar|
John Deere|3M|DuPont|Dow Chemical|BASF|FedEx|UPS|DHL|Maersk|Marriott|Hilton|Hyatt|Expedia|Booking.com|Zillow|Redfin|Yelp|TripAdvisor|Equifax|Experian|
Moody's|Nasdaq|New York Stock Exchange|Manchester United|Real Madrid|FC Barcelona|Bayern Munich|Lego|Nintendo|Sega|Ubisoft|Electronic Arts""".replace("\n", "").split("|")
JOBS = """teacher|nurse|doctor|engineer|software engineer|data scientist|project manager|product manager|accountant|lawyer|paralegal|electrician|plumber|
carpenter|mechanic|truck driver|pilot|flight attendant|chef|waiter|bartender|cashier|sales manager|marketing director|graphic designer|architect|
civil engineer|journalist|editor|copywriter|photographer|film director|actor|musician|composer|librarian|translator|interpreter|receptionist|
secretary|office manager|human resources manager|recruiter|consultant|financial analyst|auditor|bank teller|insurance agent|real estate agent|
police officer|firefighter|paramedic|soldier|judge|detective|security guard|janitor|gardener|farmer|veterinarian|dentist|pharmacist|surgeon|
psychologist|therapist|social worker|physicist|chemist|biologist|geologist|astronomer|mathematician|statistician|economist|historian|professor|
research assistant|lab technician|web developer|database administrator|systems analyst|network engineer|technical support specialist|machinist|
welder|painter|roofer|surveyor|crane operator|warehouse worker|forklift operator|baker|butcher|tailor|hairdresser|barber|model|dancer|coach|athlete|
referee|travel agent|tour guide|event planner|fundraiser|lobbyist|chief executive officer|CEO|vice president|managing director|board member|chairman|
sound engineer|camera operator|stage manager|costume designer|animator|illustrator|nanny|butler|optician|radiologist|midwife|dietitian""".replace("\n", "").split("|")
TITLES = ["Mr.", "Mrs.", "Ms.", "Miss", "Dr.", "Mr", "Mrs", "Dr", "Prof.", "Mr.", "Mrs.", "Ms.", "Dr."]
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]


def _unique(words):
    return sorted({w for w in words if w})


class Fillers:
    """Draws from lists; the same seed draws the same."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.fakers = []
        for locale in LOCALES:
            faker = Faker(locale)
            faker.seed_instance(seed)
            self.fakers.append((locale, faker))
        self.names = {}
        for locale, faker in self.fakers:
            first = _unique(faker.first_name() for _ in range(900))
            last = _unique(faker.last_name() for _ in range(900))
            self.names[locale] = (first, last)
        self.names["extra"] = (ROMAN_EXTRA, SURNAME_EXTRA)
        self.cities = list(BIG_CITIES)
        self.streets = []
        for locale, faker in self.fakers:
            self.cities += _unique(faker.city() for _ in range(250))
            self.streets += _unique(faker.street_name() for _ in range(200))
        self.cities = _unique(self.cities)
        self.orgs, self.countries, self.pool = [], [], {}  # Of the training rows.

    def pick(self, items):
        return items[self.rng.randrange(len(items))]

    def chance(self, p):
        return self.rng.random() < p

    def digits(self, n):
        return "".join(self.pick("0123456789") for _ in range(n))

    def locale_names(self):
        locale = self.pick(list(self.names))
        if locale in ("ru_RU", "uk_UA", "bg_BG", "el_GR") and self.chance(.7):
            locale = self.pick(["en_US", "en_GB", "extra", "pl_PL", "hr_HR", "is_IS", "hu_HU"])
        return self.names[locale]

    def first(self):
        name = self.pick(self.locale_names()[0])
        return name + "-" + self.pick(self.locale_names()[0]) if self.chance(.01) else name

    def last(self):
        name = self.pick(self.locale_names()[1])
        return name + "-" + self.pick(self.locale_names()[1]) if self.chance(.03) else name

    def person(self):
        first, last = self.locale_names()
        a, b = self.pick(first), self.pick(last)
        kind = self.rng.random()
        if kind < .12:
            return a
        if kind < .17:
            return b
        if kind < .3:
            return f"{a} {self.pick('ABCDEFGHIJKLMNOPRSTVWZ')}{self.pick(['', '.'])} {b}"
        if kind < .34:
            return f"{a} {self.pick(first)} {b}"
        if kind < .38:
            return f"{a} {b} {self.pick(last)}"
        if kind < .4:
            return f"{a} {b}-{self.pick(last)}"
        if kind < .42:
            return f"{self.pick('ABCDEFGHJKLMNPRST')}. {b}"
        return f"{a} {b}"

    def city(self):
        kind = self.rng.random()
        if kind < .22:
            name = self.pick(BIG_CITIES)
        elif kind < .7:
            name = self.pick(self.cities)
        else:
            heads, tails = CITY_PARTS
            stem = self.pick(self.locale_names()[1]).split()[0][:self.rng.randint(3, 6)]
            name = stem + self.pick(tails)
            if self.chance(.3):
                name = self.pick(heads) + " " + name
            if self.chance(.12):
                name += " " + self.pick(["u", "del", "di", "an der", "upon", "sur", "de", "nad", "in"]) + " " + self.pick(self.cities)
        return name.upper() if self.chance(.12) else name

    def country(self):
        if self.countries and self.chance(.2):
            return self.pick(self.countries)
        return self.pick(COUNTRIES)

    def gpe(self):
        kind = self.rng.random()
        return self.country() if kind < .45 else self.pick(US_STATES) if kind < .5 else self.city()

    def nrp(self):
        return self.pick(NATIONALITIES)

    def nrps(self):
        return self.pick(PEOPLES)

    def org(self):
        if self.orgs and self.chance(.25):
            return self.pick(self.orgs)
        kind = self.rng.random()
        if kind < .2:
            name = self.pick(KNOWN_ORGS)
            return name + " " + self.pick(SUFFIXES) if self.chance(.1) else name
        if kind < .3:
            a, b, c = (self.pick(self.names[self.pick(["en_US", "en_GB", "de_DE", "es_ES"])][1]) for _ in range(3))
            return self.pick([f"{a} {self.pick(SUFFIXES)}", f"{a}-{b}", f"{a}, {b} and {c}", f"{a} and Sons", f"{a} Group", f"{a} & {b}", f"{a} {self.pick(ORG_NOUNS)}"])
        if kind < .6:
            name = self.pick(ROOTS) + self.pick(ENDS)
            if self.chance(.2):
                name = self.pick(ROOTS) + self.pick(ROOTS)
            if self.chance(.5):
                name = name[0] + name[1:].lower()
            if self.chance(.35):
                name += " " + self.pick(SUFFIXES if self.chance(.6) else ORG_NOUNS)
            return name
        if kind < .85:
            name = self.pick(ORG_ADJ) + " " + (self.pick(ROOTS) + " " if self.chance(.3) else "") + self.pick(ORG_NOUNS)
            return name + " " + self.pick(SUFFIXES) if self.chance(.3) else name
        if kind < .9:
            return f"{self.pick(['Bank', 'Museum', 'Institute', 'Society', 'Association', 'House', 'League'])} of {self.pick(['America', 'Science', 'Technology', 'Economics', 'Letters', 'Nations', 'Arts', 'Education'])}"
        if kind < .94:
            return "".join(self.pick("ABCDEFGHIJKLMNOPRSTUVW") for _ in range(self.rng.randint(3, 4)))
        name = self.pick(ROOTS) + " " + self.pick(ROOTS).lower().capitalize() + " " + self.pick(ORG_NOUNS)
        return self.digits(self.rng.randint(1, 2)).lstrip("0") + " " + name if self.chance(.2) else name

    def street(self):
        kind = self.rng.random()
        if kind < .45:
            return self.pick(self.streets)
        name = self.pick(self.locale_names()[1])
        full = self.pick(self.names["en_US"][0]) + " " + name if self.chance(.2) else name
        if kind < .65:
            return f"{full} {self.pick(['Street', 'St', 'St.', 'Avenue', 'Ave', 'Road', 'Rd', 'Lane', 'Drive', 'Court', 'Place', 'Crescent', 'Close', 'Way', 'Boulevard', 'Terrace', 'Parkway', 'Bypass', 'Radial', 'Hills', 'Lodge', 'Square', 'Row', 'Mews', 'Grove', 'Point', 'Str.', 'Sq', 'Gardens', 'Walk', 'Hill'])}"
        if kind < .85:
            return f"{self.pick(['Rue', 'Rue de', 'Avenue', 'Boulevard', 'Place', 'Via', 'Via dei', 'Viale', 'Piazza', 'Calle', 'C/', 'Avda.', 'Avenida', 'Paseo', 'Plaza', 'Rua', 'Travessa', 'ul.', 'al.', 'Ulica', 'Strada', 'Chemin', 'Quai', 'Ctra.', 'Carretera', 'Largo', 'Corso'])} {full}"
        stem = name.split()[0].split("-")[0]
        tail = self.pick(["straße", "strasse", "weg", "gasse", "platz", "allee", "straat", "laan", "plein", "kade", "gata", "gatan", "gade", "vej", "vägen",
                          "veien", "vegen", "stigen", "katu", "tie", "polku", "gränd", "alléen", "dreef", "steenweg", "stræti", "vegur", "ring", "damm"])
        if self.chance(.25):
            return f"{stem} {self.pick(['utca', 'u.', 'tér', 'út', 'köz', 'ulice', 'náměstí', 'caddesi', 'sokak', 'tn', 'iela', 'gatvė', 'ulica'])}"
        return stem + tail

    def number(self):
        return str(self.rng.randint(1, 400 if self.chance(.8) else 9999))

    def unit(self):
        return f"{self.pick(['Apt.', 'Suite', 'Apt', 'Unit', 'Flat', 'Apt.', 'Suite', 'Floor'])} {self.digits(3)}"

    def zip(self):
        kind = self.rng.random()
        if kind < .45:
            return self.digits(5)
        if kind < .65:
            return self.digits(4)
        letters = "".join(self.pick("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(4))
        return self.pick([f"{self.digits(4)} {letters[:2]}", f"{self.digits(3)} {self.digits(2)}", f"{self.digits(5)}-{self.digits(4)}",
                          f"{self.digits(4)}-{self.digits(3)}", f"{self.digits(5)}-{self.digits(3)}", f"{letters[:2]}{self.digits(1)} {self.digits(1)}{letters[2:]}",
                          f"{letters[0]}{self.digits(1)}{letters[1]} {self.digits(1)}{letters[2]}{self.digits(1)}", self.digits(6), self.digits(5)])

    def house(self):
        street, number = self.street(), self.number()
        return self.pick([f"{number} {street}", f"{street} {number}", f"{street} {number}", f"{number}, {street}"])

    def address(self):
        kind = self.rng.random()
        if kind < .12:
            branch = self.pick(["APO", "DPO", "FPO"]) + " " + self.pick(["AA", "AE", "AP"]) + " " + self.digits(5)
            return self.pick([f"PSC {self.digits(4)}, Box {self.digits(4)}\n{branch}", f"Unit {self.digits(4)} Box {self.digits(4)}\n{branch}",
                              f"{self.pick(['USS', 'USNS', 'USCGC', 'USNV'])} {self.last()}\n{branch}", f"CMR {self.digits(3)}, Box {self.digits(3)}\n{branch}"])
        if kind < .2:
            a = self.pick([self.house(), self.street()])
            b = self.pick([self.street(), self.house(), self.last() + " " + self.pick(ENGLISH_ENDS)])
            if self.chance(.25):
                a = self.first()
            return self.pick(["the corner of ", "the corner of ", ""]) + f"{a} and {b}"
        lead = self.digits(self.rng.randint(3, 5)) + " " if self.chance(.55) else ""
        sep = self.pick([", ", "\n ", " ", "\n", "\n "])
        unit = ("\n " if sep == "\n " else self.pick([" ", ", ", " "])) + self.unit() if self.chance(.75) else ""
        if unit and self.chance(.1):
            unit += " " + self.unit()
        if kind < .3:
            return self.house()
        if not unit and self.chance(.8):
            lead = ""
        if kind < .4:
            state = self.pick(["AL", "CA", "NY", "TX", "WA", "OH", "PA", "VIC", "NSW", "QLD", "QC", "ON", "OO", "NI", "LN", "PE", "SP"])
            return f"{lead}{self.house()}{unit}{self.pick([', ', chr(10), ' '])}{self.city()}{self.pick([', ', ' '])}{state}{self.pick([' ' + self.zip(), ''])}"
        if kind < .55:
            return f"{lead}{self.house()}{unit}{self.pick([', ', chr(10), ' '])}{self.zip()} {self.city()}{self.pick(['', ', ' + self.country(), chr(10) + self.country()])}"
        tail = self.pick(["", " " + self.zip(), " " + self.zip()])
        return f"{lead}{self.house()}{unit}{sep}{self.city()}{sep}{self.country()}{tail}"

    def date(self):
        r = self.rng
        y, m, d = r.randint(1930, 2030), r.randint(1, 12), r.randint(1, 28)
        month = MONTHS[m - 1]
        return self.pick([f"{m}/{d}/{y}", f"{d}.{m}.{y}", f"{y}-{m:02}-{d:02}", f"{y}-{m:02}-{d:02} {r.randint(0, 23):02}:{r.randint(0, 59):02}:{r.randint(0, 59):02}",
                          f"{month} {d}, {y}", f"{d} {month} {y}", f"{month} {y}", f"{month} {d}", f"{d} {month[:3]} {y}", f"{y}-{m:02}-{d:02}T{r.randint(0, 23):02}:{r.randint(0, 59):02}:00Z"])

    def year(self):
        return str(self.rng.randint(1940, 2030))

    def weekday(self):
        return self.pick(WEEKDAYS)

    def age(self):
        return str(self.rng.randint(2, 99))

    def title(self):
        return self.pick(TITLES)

    def job(self):
        job = self.pick(JOBS)
        return job.capitalize() if self.chance(.5) else job.title() if self.chance(.3) else job

    # Without a label: what other detectors find.
    def phone(self):
        return self.pick([f"+{self.digits(2)} {self.digits(3)} {self.digits(6)}", f"({self.digits(3)}) {self.digits(3)}-{self.digits(4)}", f"0{self.digits(9)}",
                          f"{self.digits(3)} {self.digits(2)} {self.digits(3)}", f"{self.digits(2)}-{self.digits(2)}-{self.digits(2)}-{self.digits(2)}"])

    def email(self):
        return f"{self.pick(ROOTS).lower()}.{self.pick(ENDS)}@{self.pick(ROOTS).lower()}.com"

    def card(self):
        return self.pick("3456") + self.digits(self.rng.randint(11, 18))

    def account(self):
        return self.digits(self.rng.randint(6, 12))

    def iban(self):
        return self.pick(["GB", "DE", "FR", "NL"]) + self.digits(2) + self.pick(["DAKD", "LOWW", ""]) + self.digits(14)

    def ssn(self):
        return f"{self.digits(3)}-{self.digits(2)}-{self.digits(4)}"

    def ip(self):
        return ".".join(str(self.rng.randint(1, 254)) for _ in range(4))

    def url(self):
        return f"https://www.{self.pick(ROOTS)}{self.pick(ENDS).capitalize()}.{self.pick(['com', 'de', 'org', 'co.uk', 'io'])}/"

    def dl(self):
        return self.pick("ABCDEFG") + self.digits(12)


ENGLISH_ENDS = """Street Avenue Road Lane Drive Court Place Crescent Close Way Boulevard Terrace Parkway Bypass Radial Hills Lodge Square Row Mews Grove
Point Gardens Walk Hill Pass Turnpike Union Alley Bridge Canyon Cape Cliff Common Corner Course Cove Creek Crossing Dale Field Flat Ford Forest
Fork Gateway Glen Harbor Haven Heights Highway Island Junction Key Knoll Lake Landing Light Loop Meadow Mill Mission Motorway Mount Oval Park Path
Pike Pine Plaza Port Prairie Ranch Rapid Rest Ridge River Route Run Shoal Shore Spring Spur Stream Summit Throughway Trace Track Trail Tunnel
Valley View Village Ville Vista Well""".split()


# The label of each slot; a slot that is not here has none.
LABELS = {"person": "PERSON", "first": "PERSON", "last": "PERSON", "title": "TITLE", "job": "TITLE", "org": "ORGANIZATION", "city": "GPE",
          "country": "GPE", "gpe": "GPE", "nrp": "NRP", "nrps": "NRP", "address": "STREET_ADDRESS", "street": "STREET_ADDRESS", "house": "STREET_ADDRESS",
          "number": "STREET_ADDRESS", "unit": "STREET_ADDRESS", "zip": "ZIP_CODE", "date": "DATE_TIME", "year": "DATE_TIME",
          "weekday": "DATE_TIME", "age": "AGE"}
