"""The words a demo season is made of. None holds a tab, newline or backslash: COPY takes them as they are."""


def _words(text: str) -> list[str]:
    return text.split()


WOMEN = _words("""
    Emma Olivia Amelia Isla Ava Mia Grace Freya Lily Sophie Ella Charlotte Chloe Lucy Hannah Zoë Niamh Aoife
    Priya Ananya Fatima Aisha Mei Yuki Chloé Léa Giulia Sofia Carmen Inés Ingrid Astrid Zuzanna Kasia Thandi
    Naledi Rosie Poppy Daisy Florence Harriet Imogen Beatrice Nora Clara Maeve Rachel Sarah Laura Kate
""")
MEN = _words("""
    Oliver George Harry Noah Jack Leo Arthur Theo Oscar Henry Thomas James William Daniel Samuel Joseph
    Liam Conor Cian Arjun Rohan Omar Yusuf Wei Kenji Hugo Louis Matteo Luca Diego Javier Lars Erik Jakub
    Piotr Sipho Thabo Archie Alfie Freddie Toby Felix Edward Hamish Callum Ewan Matthew David Peter Ben
""")
SURNAMES = _words("""
    Smith Jones Taylor Brown Williams Wilson Johnson Davies Patel Wright Walker White Edwards Hughes Green
    Hall Thomas Clarke Jackson Wood Harris Martin Cooper King Ward Baker Turner Hill Scott Moore Clark
    O'Connor O'Brien Murphy Kelly Byrne Ryan Doyle Müller Schmidt Dubois Moreau Laurent Rossi Bianchi
    Romano García Fernández López Nowak Kowalski Jensen Lindqvist Nguyen Chen Wang Tanaka Singh Kaur Khan
    Ahmed Okafor Adeyemi Mokoena Dlamini Campbell MacDonald Fraser Stewart Ellis Barnes Fletcher Holt
    Whitfield Ashworth Pemberton Marlowe Hartley Sinclair Beaumont Winters Langley Thorne
""")

HOME_VENUES = (
    ("Hartwell Barn", "Hartwell Lane, Bourton-on-the-Water, GL54"),
    ("Hartwell Orangery", "Hartwell Lane, Bourton-on-the-Water, GL54"),
)
OTHER_VENUES = (
    ("St Mary's and the Old Rectory", "Church Road, Burford, OX18", "Europe/London"),
    ("Islington Town Hall", "Upper Street, London, N1", "Europe/London"),
    ("Kew Glasshouse", "Kew Green, Richmond, TW9", "Europe/London"),
    ("Achnagairn Castle", "Kirkhill, Inverness, IV5", "Europe/London"),
    ("Ballybeg House", "Ballybeg, County Wicklow", "Europe/Dublin"),
    ("Château de la Treyne", "46200 Lacave", "Europe/Paris"),
    ("Villa Cetinale", "53018 Sovicille, Siena", "Europe/Rome"),
    ("Son Marroig", "07179 Deià, Mallorca", "Europe/Madrid"),
    ("Quinta da Serra", "9300 Câmara de Lobos", "Atlantic/Madeira"),
    ("The Foundry", "42-38 9th Street, Queens, NY", "America/New_York"),
    ("Point Reyes Boathouse", "Marshall, CA 94940", "America/Los_Angeles"),
    ("Bennelong Lawn", "Macquarie Street, Sydney NSW", "Australia/Sydney"),
    ("Udai Bagh", "Lake Pichola, Udaipur", "Asia/Kolkata"),
    ("Babylonstoren", "Klapmuts Road, Franschhoek", "Africa/Johannesburg"),
)

DIETS = (
    "Vegetarian",
    "Vegan",
    "Gluten free (coeliac: no traces)",
    "No nuts, carries an EpiPen",
    "Dairy free",
    "Halal",
    "No shellfish",
    "Kosher",
    "Pescatarian",
    "High chair and small portion, please",
    "Pregnant: no soft cheese, no alcohol",
    "Diabetic: please tell when dinner is late",
)
PLACES = ("Church steps", "Walled garden", "Front lawn", "Orangery", "Old oak", "Staircase", "Courtyard", "Lake")
SONGS = (
    "At Last – Etta James",
    "Songbird – Fleetwood Mac",
    "La Vie en rose – Édith Piaf",
    "First Day of My Life – Bright Eyes",
    "Can't Help Falling in Love – Elvis Presley",
    "Lovely Day – Bill Withers",
)
COLOURS = ("sage and ivory", "dusty rose", "navy and gold", "terracotta", "lavender", "forest green and white")

TIMELINE = (
    # title, kind, minutes from the ceremony, how long, place
    ("Hair and make-up", "preparation", -330, 210, "Bridal suite"),
    ("Florist arrives", "preparation", -300, 60, "Main hall"),
    ("Photographer arrives", "preparation", -210, 30, "Bridal suite"),
    ("Details and dress", "photos", -180, 45, "Bridal suite"),
    ("Getting ready", "photos", -120, 60, "Bridal suite"),
    ("Cars leave", "travel", -45, 25, "Front gate"),
    ("Guests seated", "ceremony", -20, 20, "Ceremony room"),
    ("Ceremony", "ceremony", 0, 40, "Ceremony room"),
    ("Confetti", "photos", 40, 10, "Church steps"),
    ("Drinks reception", "reception", 50, 95, "Walled garden"),
    ("Group photos", "photos", 55, 50, "Front lawn"),
    ("Couple portraits", "photos", 105, 30, "Lake"),
    ("Call to dinner", "meal", 145, 15, "Marquee"),
    ("Wedding breakfast", "meal", 160, 100, "Marquee"),
    ("Speeches", "speeches", 260, 40, "Marquee"),
    ("Golden hour portraits", "photos", 305, 20, "Old oak"),
    ("Evening guests arrive", "reception", 320, 30, "Courtyard"),
    ("Cutting of the cake", "reception", 345, 10, "Marquee"),
    ("First dance", "dancing", 360, 15, "Marquee"),
    ("Band", "dancing", 375, 105, "Marquee"),
)

FROM_COUPLE = (
    "Hello! Just checking that you have our final timings.",
    "We changed the order of the group photos, could you have a look?",
    "My grandmother cannot stand for long: can her group go first?",
    "Two more guests, sorry! That makes {guests} now.",
    "Is there a plan B for the garden if it rains?",
    "Could we start fifteen minutes earlier? The light is better then.",
    "{other} would love a photo with the dogs.",
    "The coach from the hotel arrives at half past.",
    "Thank you so much, that is perfect.",
    "Who should we call on the day if something runs late?",
)
FROM_SUPPLIER = (
    "Hello {one} and {other}, all noted. I will send the updated plan tonight.",
    "Forty minutes of group photos is comfortable for your list; more would eat into drinks.",
    "Please send the family list by the end of the month, with one helper from each side.",
    "If it rains we use the orangery: enough room for everybody.",
    "I have moved grandparents to the front of the list.",
    "The contract is signed and the deposit arrived, thank you!",
    "We will be there three hours before the ceremony.",
    "Parking for suppliers is behind the barn; the gate opens at eight.",
    "Could you confirm the number of guests? We have {guests}.",
    "Lovely to meet you both yesterday at {venue}.",
)
SUBJECTS = ("Timings for the day", "Group photo list", "Contract and deposit", "Final guest numbers", "Rain plan")
